#include "pipeline/error_policy.h"

#include <cstddef>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "pipeline/atomic_file.h"
#include "pipeline/errors.h"
#include "pipeline/utf8.h"

namespace penstock {
namespace {

constexpr std::size_t kShownBytes = 80;            // of a record, in messages
constexpr std::int64_t kRecordsBeforeShare = 100;  // a share of fewer says little

unsigned char byte_at(std::string_view text, std::size_t index) {
  return static_cast<unsigned char>(text[index]);
}

// U+0000 to U+001F, U+007F, and U+0080 to U+009F, which terminals obey as well.
bool is_control(std::string_view character) {
  const unsigned char first = byte_at(character, 0);
  return first < 0x20 || first == 0x7F || (first == 0xC2 && byte_at(character, 1) < 0xA0);
}

void append_escaped(std::string& to, std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    to += "\\x";
    to += kDigits[byte_at(bytes, i) >> 4];
    to += kDigits[byte_at(bytes, i) & 0x0F];
  }
}

// At most the first kShownBytes of a record, whole characters only, safe to print.
std::string beginning(const Reject& reject) {
  const std::string_view raw = reject.raw;
  std::string text;
  std::size_t shown = 0;
  while (shown < raw.size()) {
    const std::size_t length = first_utf8_character(raw.substr(shown)).length;
    const std::string_view character = raw.substr(shown, length == 0 ? 1 : length);
    if (shown + character.size() > kShownBytes) {
      break;
    }
    if (length == 0 || is_control(character)) {
      append_escaped(text, character);
    } else {
      text += character;
    }
    shown += character.size();
  }
  const bool cut = shown < raw.size() || static_cast<std::int64_t>(shown) < reject.raw_bytes;
  return cut ? text + "..." : text;
}

// RFC 4648, section 4.
std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t begin = 0; begin < bytes.size(); begin += 3) {
    const std::string_view group = bytes.substr(begin, 3);
    unsigned int bits = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      bits = bits << 8 | (i < group.size() ? byte_at(group, i) : 0U);
    }
    for (std::size_t i = 0; i < 4; ++i) {
      text += i <= group.size() ? kDigits[bits >> (18 - 6 * i) & 0x3F] : '=';
    }
  }
  return text;
}

std::string json_line(const Reject& reject) {
  nlohmann::ordered_json line;
  line["shard"] = reject.position.shard ? nlohmann::ordered_json(*reject.position.shard) : nullptr;
  line["record"] = reject.position.record;
  line["byte_offset"] = reject.position.byte_offset;
  line["stage"] = reject.stage;
  line["reason"] = reject.reason;
  if (is_utf8(reject.raw)) {
    line["raw"] = reject.raw;
  } else {
    line["raw_base64"] = base64(reject.raw);
  }
  line["raw_bytes"] = reject.raw_bytes;
  line["raw_complete"] = std::ssize(reject.raw) == reject.raw_bytes;
  // File names need not be UTF-8.
  return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + '\n';
}

// 0 allows no reject at all, so it is a count.
bool is_share(double max_errors) {
  return max_errors > 0 && max_errors < 1;
}

}  // namespace

// The file of refused records, one JSON object a line.
class ErrorPolicy::Quarantine {
 public:
  explicit Quarantine(std::string path) : file_(std::move(path)) {}

  void append(const Reject& reject) { file_.write(json_line(reject)); }

  // Also when it is empty, so that a file of an earlier run is not taken for this one's.
  void publish() { file_.commit(); }

 private:
  AtomicFile file_;
};

ErrorPolicy::ErrorPolicy(Options options) : options_(std::move(options)) {
  if (!options_.quarantine_path.empty()) {
    quarantine_ = std::make_unique<Quarantine>(options_.quarantine_path);
  }
}

ErrorPolicy::~ErrorPolicy() = default;

void ErrorPolicy::go_on_from(std::int64_t records, std::int64_t rejects) {
  records_ = records;
  rejects_ = rejects;
}

void ErrorPolicy::count_records(std::int64_t records) {
  records_ += records;
}

void ErrorPolicy::judge(const Reject& reject, OnError on_error) {
  ++rejects_;
  if (on_error == OnError::kFail) {
    throw RecordError(describe(reject));
  }
  if (on_error == OnError::kQuarantine) {
    if (!quarantine_) {
      throw std::logic_error("a record is to be quarantined, but there is no quarantine file");
    }
    quarantine_->append(reject);
  }
  if (options_.max_errors) {
    last_reject_ = describe(reject);
    check_budget(false);
  }
}

void ErrorPolicy::finish() {
  check_budget(true);
  publish();
}

void ErrorPolicy::publish() {
  if (quarantine_) {
    quarantine_->publish();
    quarantine_.reset();
  }
}

void ErrorPolicy::check_budget(bool at_end) const {
  if (!options_.max_errors) {
    return;
  }
  const double max_errors = *options_.max_errors;
  const bool share = is_share(max_errors);
  const double allowed = share ? max_errors * static_cast<double>(records_) : max_errors;
  if (static_cast<double>(rejects_) <= allowed ||
      (share && !at_end && records_ < kRecordsBeforeShare)) {
    return;
  }
  std::ostringstream text;
  text << rejects_;
  if (share) {
    text << " of " << records_;
  }
  text << (rejects_ == 1 && !share ? " record was" : " records were")
       << " refused, more than max_errors (" << max_errors << "); the last one: " << last_reject_;
  throw RecordError(text.str());
}

std::string describe(const Reject& reject) {
  std::string text = reject.stage.empty() ? "" : "stage '" + reject.stage + "': ";
  text += to_string(reject.position) + ": " + reject.reason;
  if (!reject.raw.empty()) {
    text += "; the record begins: " + beginning(reject);
  }
  return text;
}

}  // namespace penstock
