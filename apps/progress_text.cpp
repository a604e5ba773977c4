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

// Not before everything has been delivered does it say 100.
std::string percent_done(double share) {
  return fmt::format("{:3.0f}%", std::floor(100 * share));
}

std::string bytes_read(const RunSummary& now) {
  if (now.total_input_bytes && now.input_bytes >= *now.total_input_bytes) {
    return "all " + data_size(now.input_bytes) + " read";
  }
  std::string text = data_size(now.input_bytes);
  if (now.total_input_bytes) {
    text += " of " + data_size(*now.total_input_bytes);
  }
  return text + " read";
}

// Of the text whose tokens came to the assembler in this run, the part that was delivered.
double delivered_text(const RunSummary& now) {
  const std::int64_t delivered = now.new_tokens();
  if (delivered <= 0) {
    return 0;
  }
  const std::int64_t in = now.tokens.in - now.earlier_tokens();
  return static_cast<double>(now.text_bytes) * static_cast<double>(delivered) /
         static_cast<double>(std::max(in, delivered));
}

std::string time_text(const RunSummary& now, const RecentRates& rates) {
  if (now.all_packed && now.delivered_tokens >= now.tokens.out) {
    return "finishing";  // the sinks are closing what they wrote
  }
  if (const std::optional<double> left = seconds_left(now, rates.share_per_second())) {
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

std::vector<Piece> pieces_of(const RunSummary& now,
                             const RecentRates& rates,
                             std::optional<double> loss) {
  std::vector<Piece> pieces;
  if (const std::optional<double> share = now.share_done()) {
    pieces.push_back({0, percent_done(*share)});
    pieces.push_back({4, std::string(kShortestBar, ' '), true});
  }
  pieces.push_back({5, bytes_read(now)});
  pieces.push_back({2, token_rate(rates.tokens_per_second())});
  if (loss) {
    pieces.push_back({3, fmt::format("loss {:.3f}", *loss)});
  }
  pieces.push_back({6, data_rate(rates.text_bytes_per_second()) + " of text"});
  pieces.push_back({1, time_text(now, rates)});
  if (!now.limiting_stage.empty()) {
    pieces.push_back({7, "limit: " + now.limiting_stage});
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
  now_ = now.wall_seconds;
  const auto tokens = static_cast<double>(now.new_tokens());
  if (tokens > samples_.back().tokens) {
    samples_.push_back({now_, tokens, delivered_text(now), now.share_done().value_or(0)});
  }
  // The oldest sample that is kept is at least the window old.
  while (samples_.size() > 2 && samples_[1].seconds <= now_ - window_seconds_) {
    samples_.pop_front();
  }
}

double RecentRates::tokens_per_second() const {
  return rate(&Sample::tokens);
}

double RecentRates::text_bytes_per_second() const {
  return rate(&Sample::text_bytes);
}

double RecentRates::share_per_second() const {
  return rate(&Sample::share);
}

double RecentRates::rate(double Sample::*amount) const {
  const Sample& oldest = samples_.front();
  const Sample& newest = samples_.back();
  // The next delivery may take as long as any of these did.
  double longest_wait = 0;
  for (std::size_t i = 1; i < samples_.size(); ++i) {
    longest_wait = std::max(longest_wait, samples_[i].seconds - samples_[i - 1].seconds);
  }
  const double seconds = std::max(newest.seconds, now_ - longest_wait) - oldest.seconds;
  return seconds > 0 ? std::max(0.0, newest.*amount - oldest.*amount) / seconds : 0;
}

std::optional<double> seconds_left(const RunSummary& now, double share_per_second) {
  const double share = now.share_done().value_or(0);
  if (share <= 0 || now.wall_seconds <= 0) {
    return std::nullopt;
  }
  const double speed = share_per_second > 0 ? share_per_second : share / now.wall_seconds;
  return (1 - share) / speed;
}

std::string progress_bar(const RunSummary& now,
                         const RecentRates& rates,
                         int columns,
                         std::optional<double> loss) {
  std::vector<Piece> pieces = pieces_of(now, rates, loss);
  const std::size_t left_over = choose(pieces, static_cast<std::size_t>(std::max(columns, 0)));
  std::string line;
  for (const Piece& piece : pieces) {
    if (!piece.shown) {
      continue;
    }
    line += line.empty() ? "" : "  ";
    line += piece.is_bar
                ? bar(now.share_done().value_or(0), std::min(kShortestBar + left_over, kLongestBar))
                : piece.text;
  }
  return line;
}

std::string progress_sentence(const RunSummary& now,
                              const RecentRates& rates,
                              std::optional<double> loss) {
  std::string line;
  for (const Piece& piece : pieces_of(now, rates, loss)) {
    if (piece.is_bar) {
      continue;
    }
    line += line.empty() ? "" : ", ";
    line += piece.text.substr(piece.text.find_first_not_of(' '));
  }
  return line;
}

}  // namespace penstock
