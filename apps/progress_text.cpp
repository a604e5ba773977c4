#include "apps/progress_text.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include <spdlog/fmt/fmt.h>

#include "apps/number_text.h"

namespace penstock {
namespace {

constexpr std::size_t kShortestBar = 10;  // columns, brackets included
constexpr std::size_t kLongestBar = 40;

// A piece of the progress bar. Pieces stand in the order of the list; those of the lowest rank are
// the first to get room.
struct Piece {
  int rank = 0;
  std::string text;
  bool is_bar = false;
  bool shown = false;
};

double share_read(const RunSummary& now) {
  if (!now.total_input_bytes || *now.total_input_bytes <= 0) {
    return 0;
  }
  return std::clamp(
      static_cast<double>(now.input_bytes) / static_cast<double>(*now.total_input_bytes), 0.0, 1.0);
}

// Not before everything has been read does it say 100.
std::string percent_read(const RunSummary& now) {
  return fmt::format("{:3.0f}%", std::floor(100 * share_read(now)));
}

std::string bytes_read(const RunSummary& now) {
  std::string text = data_size(now.input_bytes);
  if (now.total_input_bytes) {
    text += " of " + data_size(*now.total_input_bytes);
  }
  return text + " read";
}

// The input has been read and what is in flight is being worked on.
bool input_is_read(const RunSummary& now) {
  return now.total_input_bytes && now.input_bytes >= *now.total_input_bytes;
}

std::string time_text(const RunSummary& now, const RecentRates& rates) {
  if (input_is_read(now)) {
    return "finishing";
  }
  if (const std::optional<double> left = seconds_left(now, rates.input_bytes_per_second())) {
    return clock_time(*left) + " left";
  }
  return clock_time(now.wall_seconds) + " so far";
}

std::string bar(double share, std::size_t columns) {
  const std::size_t inside = columns - 2;
  const auto filled = static_cast<std::size_t>(share * static_cast<double>(inside));
  std::string text(inside, ' ');
  std::fill_n(text.begin(), filled, '=');
  if (filled < inside) {
    text[filled] = '>';
  }
  return '[' + text + ']';
}

std::vector<Piece> pieces_of(const RunSummary& now, const RecentRates& rates) {
  std::vector<Piece> pieces;
  if (now.total_input_bytes) {
    pieces.push_back({0, percent_read(now)});
    pieces.push_back({3, std::string(kShortestBar, ' '), true});
  }
  pieces.push_back({4, bytes_read(now)});
  pieces.push_back({2, token_rate(rates.tokens_per_second())});
  pieces.push_back({5, data_rate(rates.text_bytes_per_second()) + " of text"});
  pieces.push_back({1, time_text(now, rates)});
  if (!now.limiting_stage.empty()) {
    pieces.push_back({6, "limit: " + now.limiting_stage});
  }
  return pieces;
}

// Marks the pieces that fit, the important ones first, and returns the columns left over.
std::size_t choose(std::vector<Piece>& pieces, std::size_t columns) {
  std::vector<Piece*> by_rank;
  for (Piece& piece : pieces) {
    by_rank.push_back(&piece);
  }
  std::sort(by_rank.begin(), by_rank.end(), [](const Piece* left, const Piece* right) {
    return left->rank < right->rank;
  });
  std::size_t used = 0;
  for (Piece* piece : by_rank) {
    const std::size_t needed = piece->text.size() + (used == 0 ? 0 : 2);
    if (used + needed > columns) {
      break;
    }
    piece->shown = true;
    used += needed;
  }
  return columns - used;
}

}  // namespace

void RecentRates::add(const RunSummary& now) {
  samples_.push_back({now.wall_seconds,
                      static_cast<double>(now.tokens.in),
                      static_cast<double>(now.text_bytes),
                      static_cast<double>(now.input_bytes)});
  // The oldest sample that is kept is at least the window old.
  while (samples_.size() > 2 && samples_[1].seconds <= now.wall_seconds - window_seconds_) {
    samples_.pop_front();
  }
}

double RecentRates::tokens_per_second() const {
  return rate(&Sample::tokens);
}

double RecentRates::text_bytes_per_second() const {
  return rate(&Sample::text_bytes);
}

double RecentRates::input_bytes_per_second() const {
  return rate(&Sample::input_bytes);
}

double RecentRates::rate(double Sample::*amount) const {
  const Sample& oldest = samples_.front();
  const Sample& newest = samples_.back();
  const double seconds = newest.seconds - oldest.seconds;
  return seconds > 0 ? (newest.*amount - oldest.*amount) / seconds : 0;
}

std::optional<double> seconds_left(const RunSummary& now, double input_bytes_per_second) {
  if (!now.total_input_bytes || input_bytes_per_second <= 0) {
    return std::nullopt;
  }
  const std::int64_t bytes_left =
      std::max<std::int64_t>(0, *now.total_input_bytes - now.input_bytes);
  return static_cast<double>(bytes_left) / input_bytes_per_second;
}

std::string progress_bar(const RunSummary& now, const RecentRates& rates, int columns) {
  std::vector<Piece> pieces = pieces_of(now, rates);
  const std::size_t left_over = choose(pieces, static_cast<std::size_t>(std::max(columns, 0)));
  std::string line;
  for (const Piece& piece : pieces) {
    if (!piece.shown) {
      continue;
    }
    line += line.empty() ? "" : "  ";
    line += piece.is_bar ? bar(share_read(now), std::min(kShortestBar + left_over, kLongestBar))
                         : piece.text;
  }
  return line;
}

std::string progress_sentence(const RunSummary& now, const RecentRates& rates) {
  std::string line;
  for (const Piece& piece : pieces_of(now, rates)) {
    if (piece.is_bar) {
      continue;
    }
    line += line.empty() ? "" : ", ";
    line += piece.text.substr(piece.text.find_first_not_of(' '));
  }
  return line;
}

}  // namespace penstock
