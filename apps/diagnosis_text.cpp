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

std::string gain_text(const RunEvidence& evidence, double bytes_per_second) {
  return fmt::format("{:.2f}x", bytes_per_second / evidence.bytes_per_second);
}

// By more than what may be noise.
bool is_slower(const RunEvidence& evidence, const Remedy& remedy) {
  return remedy.tried && *remedy.tried < 0.97 * evidence.bytes_per_second;
}

std::string outcome(const RunEvidence& evidence, const Remedy& remedy) {
  if (remedy.tried) {
    return fmt::format("Tried: {}; predicted: {}.",
                       rate_text(evidence, *remedy.tried),
                       gain_text(evidence, remedy.predicted));
  }
  const std::string predicted =
      fmt::format("Predicted: {}.", rate_text(evidence, remedy.predicted));
  return remedy.failure.empty() ? predicted
                                : predicted + " Tried, but that run failed: " + remedy.failure;
}

}  // namespace

std::string diagnosis_text(const RunEvidence& evidence, const Diagnosis& diagnosis) {
  std::string text = fmt::format("What limits: {}\n\n", to_string(diagnosis.limit));
  text += paragraph("  now:", rate_text(evidence, evidence.bytes_per_second));
  text += paragraph("  evidence:", diagnosis.evidence);
  if (evidence.read_again) {
    text += paragraph("  note:",
                      "The input was at its end before the time was, and was read again: a "
                      "tokenizer that remembers words looks faster than on new text.");
  }
  text += fmt::format("\n{}", cost_table(evidence));
  std::string gains;
  std::string losses;
  for (const Remedy& remedy : diagnosis.remedies) {
    std::string& told = is_slower(evidence, remedy) ? losses : gains;
    told += '\n' + paragraph("  " + gain_text(evidence, remedy.bytes_per_second()),
                             remedy.what + ' ' + outcome(evidence, remedy));
    for (const OptionChange& change : remedy.changes) {
      told += "           " + config_line(change) + '\n';
    }
  }
  text += gains.empty() ? "\nNo change that is known of would make it faster.\n"
                        : "\nWhat each change gives, by itself:\n" + gains;
  text += losses.empty() ? "" : "\nTried, and slower here:\n" + losses;
  return text;
}

}  // namespace penstock
