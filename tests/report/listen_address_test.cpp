#include "report/listen_address.h"

#include <stdexcept>

#include <gmock/gmock.h>

namespace penstock {
namespace {

using ::testing::ThrowsMessage;

TEST(ListenAddress, IsThisMachineUnlessTold) {
  EXPECT_EQ(to_string(parse_listen_address("8080")), "127.0.0.1:8080");
  EXPECT_EQ(to_string(parse_listen_address("0.0.0.0:80")), "0.0.0.0:80");
  EXPECT_EQ(to_string(parse_listen_address("[::1]:0")), "[::1]:0");
  EXPECT_EQ(parse_listen_address("[::1]:0").host, "::1");
}

TEST(ListenAddress, KnowsWhatOnlyThisMachineReaches) {
  EXPECT_TRUE(parse_listen_address("8080").is_loopback());
  EXPECT_TRUE(parse_listen_address("localhost:8080").is_loopback());
  EXPECT_TRUE(parse_listen_address("[::1]:8080").is_loopback());
  EXPECT_FALSE(parse_listen_address("0.0.0.0:8080").is_loopback());
  EXPECT_FALSE(parse_listen_address("example.org:8080").is_loopback());
}

TEST(ListenAddress, SaysWhatIsExpected) {
  for (const char* text :
       {"", "x", ":80", "127.0.0.1:", "127.0.0.1:65536", "1:-1", "::1:80", "80x"}) {
    EXPECT_THAT([&] { parse_listen_address(text); },
                ThrowsMessage<std::invalid_argument>(
                    "got '" + std::string(text) +
                    "', expected PORT or ADDRESS:PORT, such as 127.0.0.1:8080"));
  }
}

}  // namespace
}  // namespace penstock
