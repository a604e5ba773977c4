#include "report/report_page.h"

#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "pipeline/errors.h"
#include "tests/report/sample_run.h"
#include "tests/temporary_folder.h"

namespace penstock {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::ThrowsMessage;

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t number = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++number;
  }
  return number;
}

RunState sample_state() {
  RunState state;
  state.config = "<b>my</b>.yaml";
  state.status = "finished";
  state.threads = 4;
  state.limiting_stage = "device";
  state.limit_reason = "its own thread was busy 98 % of the time";
  return state;
}

nlohmann::json data_of(const std::string& html) {
  const std::string begin = "<script id=\"data\" type=\"application/json\">";
  const std::size_t first = html.find(begin) + begin.size();
  return nlohmann::json::parse(html.substr(first, html.find("</script>", first) - first));
}

class ReportPageTest : public testing::Test {
 protected:
  const std::string html_ = report_page(page_of(sample_state(), sample_run(100)));
  TemporaryFolder folder_;
};

TEST_F(ReportPageTest, HoldsAllThatItShows) {
  const nlohmann::json data = data_of(html_);
  EXPECT_EQ(data["state"]["config"], "<b>my</b>.yaml");
  EXPECT_EQ(data["state"]["status"], "finished");
  EXPECT_FALSE(data["live"]);
  EXPECT_EQ(data["latest"]["step"], 100);
  EXPECT_EQ(data["charts"][0]["id"], "loss");
  EXPECT_EQ(data["charts"][0]["series"][0]["x"].size(), 100U);
  EXPECT_EQ(data["time_line"][3]["who"], "GPU");
  EXPECT_EQ(data["standings"].size(), 3U);
  EXPECT_EQ(data["samples"][1]["prompt"], "</script><script>alert(1)</script>");
  EXPECT_EQ(data["samples"][1]["reference"], "\xef\xbf\xbd&amp;\"");
  EXPECT_THAT(data["verdict"],
              ElementsAre("device limits the run: its own thread was busy 98 % of the time.",
                          "As time went on, device limited it for 75 % of the time, tokenize for "
                          "25 %.",
                          "The GPU computed for 81 % of the time and waited for the rest of it."));
}

TEST_F(ReportPageTest, NeedsNothingFromOutside) {
  EXPECT_THAT(html_, HasSubstr("content=\"default-src 'none';"));
  EXPECT_THAT(html_, HasSubstr("Chart.js v3"));
  EXPECT_THAT(html_, Not(HasSubstr("src=\"")));
  EXPECT_THAT(html_, Not(HasSubstr("href=\"http")));
  EXPECT_THAT(html_, Not(HasSubstr("@import")));
  EXPECT_THAT(html_, Not(HasSubstr("sourceMappingURL")));
}

TEST_F(ReportPageTest, LetsNoTextOutOfItsPlace) {
  EXPECT_EQ(count(html_, "<script"), 3U);
  EXPECT_EQ(count(html_, "</script>"), 3U);
  EXPECT_THAT(html_, Not(HasSubstr("<img")));
  EXPECT_THAT(html_, Not(HasSubstr("<b>my</b>")));
  EXPECT_THAT(html_, Not(HasSubstr("innerHTML = ")));
}

TEST_F(ReportPageTest, IsSmallForALongRun) {
  const std::string html = report_page(page_of(sample_state(), sample_run(100'000)));
  EXPECT_LT(html.size(), std::size_t{1} << 20);
}

TEST_F(ReportPageTest, IsMadeOutOfTheFolderOfARun) {
  const RunFolder run{folder_.path()};
  RunFolderWriter(run, sample_run(10));
  std::ofstream(run.file(RunFolder::kSummary))
      << R"({"config":"c.yaml","status":"failed","error":"broken","warnings":["w"],
             "started_at":"2025-01-31T12:34:56Z","wall_seconds":3.5,"threads":2,
             "tokens":{"packed":7,"delivered":5},"share_done":0.25,"limit":null,
             "sinks":[{"name":"device","results":{"device":"cpu"}}]})";
  EXPECT_EQ(write_report_page(run), run.file(RunFolder::kReport));
  std::ostringstream html;
  html << std::ifstream(run.file(RunFolder::kReport)).rdbuf();
  const nlohmann::json state = data_of(html.str())["state"];
  EXPECT_EQ(state["status"], "failed");
  EXPECT_EQ(state["error"], "broken");
  EXPECT_EQ(state["warnings"][0], "w");
  EXPECT_EQ(state["device"], "cpu");
  EXPECT_EQ(state["wall_seconds"], 3.5);
  EXPECT_EQ(state["tokens"], 5);
  EXPECT_EQ(state["share_done"], 0.25);
}

TEST_F(ReportPageTest, IsMadeOfARunThatWasKilled) {
  const RunFolder run{folder_.path()};
  RunFolderWriter(run, sample_run(10));
  EXPECT_EQ(read_run_state(run).status, "unknown");
  EXPECT_NO_THROW(write_report_page(run));
}

TEST_F(ReportPageTest, RefusesAFolderThatHoldsNoRun) {
  EXPECT_THAT([&] { write_report_page({folder_.path()}); },
              ThrowsMessage<FileError>(HasSubstr("is not the folder of a run")));
  const RunFolder run{folder_.path()};
  std::ofstream(run.file(RunFolder::kSummary)) << "not JSON";
  EXPECT_THAT([&] { write_report_page(run); },
              ThrowsMessage<FileError>(HasSubstr("summary.json' is no summary of a run")));
}

}  // namespace
}  // namespace penstock
