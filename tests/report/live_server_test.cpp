#include "report/live_server.h"

#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <httplib.h>
#include <nlohmann/json.hpp>

#include "tests/report/sample_run.h"

namespace penstock {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

// Serves what has come of a run behind a position.
class LiveServerTest : public ::testing::Test {
 protected:
  LiveServerTest() { server_.start(); }

  int port() const {
    const std::string& url = server_.url();
    return std::stoi(url.substr(url.rfind(':') + 1));
  }

  httplib::Result get(const std::string& path, const httplib::Headers& headers = {}) const {
    return httplib::Client("127.0.0.1", port()).Get(path, headers);
  }

  LiveServer server_{{"127.0.0.1", 0}, [](const RunRecorder::Position& position) {
                       RunData run = sample_run(20);
                       run.metrics.erase(
                           run.metrics.begin(),
                           run.metrics.begin() + static_cast<std::ptrdiff_t>(position.metrics));
                       RunState state;
                       state.status = "running";
                       PageData page = page_of(state, std::move(run));
                       page.is_live = true;
                       page.position.metrics = 20;
                       return page;
                     }};
};

TEST_F(LiveServerTest, GivesThePage) {
  const httplib::Result page = get("/");
  ASSERT_TRUE(page);
  EXPECT_EQ(page->status, 200);
  EXPECT_EQ(page->get_header_value("Content-Type"), "text/html; charset=utf-8");
  EXPECT_THAT(page->body, HasSubstr("{\"live\":true"));
}

TEST_F(LiveServerTest, GivesWhatIsNewBehindAPosition) {
  const auto all = nlohmann::json::parse(get("/data")->body);
  EXPECT_EQ(all["charts"][0]["series"][0]["x"].size(), 20U);
  EXPECT_EQ(all["position"]["metrics"], 20);
  const auto later = nlohmann::json::parse(get("/data?metrics=15&occupancy=0")->body);
  EXPECT_EQ(later["charts"][0]["series"][0]["x"].size(), 5U);
  EXPECT_EQ(later["charts"][0]["series"][0]["x"][0], 16);
  EXPECT_EQ(nlohmann::json::parse(get("/data?metrics=none")->body), all);
}

TEST_F(LiveServerTest, AnswersOnlyThoseWhoCallItByANumber) {
  EXPECT_EQ(get("/", {{"Host", "evil.example"}})->status, 403);
  EXPECT_EQ(get("/data", {{"Host", "evil.example:8080"}})->status, 403);
  EXPECT_EQ(get("/", {{"Host", "localhost:8080"}})->status, 200);
  EXPECT_EQ(get("/", {{"Host", "[::1]:8080"}})->status, 200);
  EXPECT_EQ(get("/../etc/passwd")->status, 404);
}

TEST_F(LiveServerTest, ServesMoreReadersThanItHasThreads) {
  std::vector<std::thread> readers;
  std::mutex mutex;
  int answered = 0;  // protected by mutex
  for (int i = 0; i < 12; ++i) {
    readers.emplace_back([&] {
      const httplib::Result data = get("/data");
      const std::lock_guard lock(mutex);
      answered += data && data->status == 200 ? 1 : 0;
    });
  }
  for (std::thread& reader : readers) {
    reader.join();
  }
  EXPECT_EQ(answered, 12);
}

TEST_F(LiveServerTest, DoesNotShareItsPort) {
  EXPECT_THAT(
      [&] {
        LiveServer({"127.0.0.1", port()}, {});
      },
      ThrowsMessage<std::runtime_error>("cannot listen on 127.0.0.1:" + std::to_string(port()) +
                                        ": Address already in use"));
}

TEST(LiveServer, CanGoWithoutHavingAnswered) {
  const LiveServer server({"127.0.0.1", 0}, {});
  EXPECT_THAT(server.url(), HasSubstr("http://127.0.0.1:"));
}

}  // namespace
}  // namespace penstock
