#include "apps/diagnosis_text.h"

#include <spdlog/fmt/fmt.h>

#include "apps/bench_report.h"
#include "apps/number_text.h"
#include "apps/paragraph.h"

namespace penstock {
namespace {

std::string rate_text(const RunEvidence& evidence, double bytes_per_second) {
  return fmt::format("{} ({} of text)",
                     token_rate(bytes_per_second * evidence.tokens_per_byte),
                     data_rate(bytes_per_second));
}

std::string cost_table(const RunEvidence& evidence) {
  std::string table = fmt::format("  {:<14}{:>12}{:>10}\n", "stage alone", "ns a byte", "time");
  const double sum = core_seconds_per_byte(evidence.costs);
  for (const StageCost& cost : evidence.costs) {
    table += fmt::format("  {:<14}{:>12.3f}{:>10}\n",
                         cost.name,
                         1e9 * cost.seconds_per_byte,
                         share_text(cost.seconds_per_byte / sum));
  }
  return table;
}

}  // namespace

std::string diagnosis_text(const RunEvidence& evidence, const Diagnosis& diagnosis) {
  std::string text = fmt::format("What limits: {}\n\n", to_string(diagnosis.limit));
  text += paragraph("  now:", rate_text(evidence, evidence.bytes_per_second));
  text += paragraph("  evidence:", diagnosis.evidence);
  text += fmt::format("\n{}", cost_table(evidence));
  if (diagnosis.remedies.empty()) {
    return text + "\nNo change that is known of would make it faster.\n";
  }
  text += "\nWhat each change would give, by itself:\n";
  for (const Remedy& remedy : diagnosis.remedies) {
    text += '\n' +
            paragraph(
                fmt::format("  {:.2f}x", remedy.bytes_per_second / evidence.bytes_per_second),
                remedy.what + " Predicted: " + rate_text(evidence, remedy.bytes_per_second) + '.');
    for (const std::string& line : remedy.lines) {
      text += "           " + line + '\n';
    }
  }
  return text;
}

}  // namespace penstock
