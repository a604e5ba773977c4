#include "report/report_page.h"

#include <filesystem>

#include "pipeline/atomic_file.h"
#include "pipeline/errors.h"
#include "report/page_parts.h"

namespace penstock {
namespace {

// JSON that may stand in a script element: a '<' can only be in a string there.
std::string embedded(const std::string& json) {
  std::string text;
  for (const char character : json) {
    if (character == '<') {
      text += "\\u003c";
    } else {
      text += character;
    }
  }
  return text;
}

}  // namespace

std::string report_page(const PageData& page) {
  std::string html(page_parts::kHead);
  html += "<style>\n";
  html += page_parts::kStyle;
  html += "</style>\n";
  html += page_parts::kBody;
  html += "<script id=\"data\" type=\"application/json\">";
  html += embedded(page_json(page));
  html += "</script>\n<script>\n";
  html += page_parts::kChartLibrary;
  html += "\n</script>\n<script>\n";
  html += page_parts::kScript;
  return html + "</script>\n</body>\n</html>\n";
}

std::string write_report_page(const RunFolder& folder) {
  const bool holds_run = std::filesystem::exists(folder.file(RunFolder::kMetrics)) ||
                         std::filesystem::exists(folder.file(RunFolder::kSummary));
  if (!holds_run) {
    throw FileError("'" + folder.path + "' is not the folder of a run: there is neither " +
                    RunFolder::kMetrics + " nor " + RunFolder::kSummary + " in it");
  }
  AtomicFile file(folder.file(RunFolder::kReport));
  file.write(report_page(page_of(read_run_state(folder), read_run_data(folder))));
  file.commit();
  return file.path();
}

}  // namespace penstock
