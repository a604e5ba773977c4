#include "apps/number_text.h"

#include <array>
#include <cmath>
#include <cstddef>

#include <spdlog/fmt/fmt.h>

namespace penstock {
namespace {

// A value with the largest unit that keeps three significant digits below `base`.
struct Scaled {
  double value = 0;
  std::size_t unit = 0;
};

Scaled scale(double value, double base, std::size_t num_units) {
  Scaled scaled{value, 0};
  // 999.5 would be printed as 1000.
  while (scaled.value >= base - 0.5 && scaled.unit + 1 < num_units) {
    scaled.value /= base;
    ++scaled.unit;
  }
  return scaled;
}

std::string three_digits(double value) {
  if (value < 9.995) {
    return fmt::format("{:.2f}", value);
  }
  if (value < 99.95) {
    return fmt::format("{:.1f}", value);
  }
  return fmt::format("{:.0f}", value);
}

// Rates before the first measurement can be infinite or undefined; they count as nothing.
double finite(double value) {
  return std::isfinite(value) && value > 0 ? value : 0;
}

}  // namespace

std::string grouped(std::int64_t value) {
  std::string text = std::to_string(value);
  const std::size_t first_digit = value < 0 ? 1 : 0;
  for (std::size_t position = text.size(); position > first_digit + 3;) {
    position -= 3;
    text.insert(position, ",");
  }
  return text;
}

std::string counted(std::int64_t value, const std::string& noun) {
  return grouped(value) + ' ' + noun + (value == 1 ? "" : "s");
}

std::string si_number(double value) {
  static constexpr std::array<const char*, 6> kPrefixes = {"", " k", " M", " G", " T", " P"};
  value = finite(value);
  if (value < 999.5 && value == std::floor(value)) {
    return fmt::format("{:.0f}", value);
  }
  const Scaled scaled = scale(value, 1000, kPrefixes.size());
  return three_digits(scaled.value) + kPrefixes[scaled.unit];
}

std::string token_rate(double tokens_per_second) {
  return si_number(tokens_per_second) + " tokens/s";
}

std::string data_size(std::int64_t bytes) {
  static constexpr std::array<const char*, 6> kUnits = {"B", "kB", "MB", "GB", "TB", "PB"};
  const Scaled scaled = scale(static_cast<double>(bytes), 1000, kUnits.size());
  if (scaled.unit == 0) {
    return fmt::format("{} B", bytes);
  }
  return fmt::format("{} {}", three_digits(scaled.value), kUnits[scaled.unit]);
}

std::string data_rate(double bytes_per_second) {
  const double megabytes = finite(bytes_per_second) / 1e6;
  if (megabytes < 999.5) {
    return three_digits(megabytes) + " MB/s";
  }
  return grouped(std::llround(megabytes)) + " MB/s";
}

std::string memory_size(std::int64_t bytes) {
  static constexpr std::array<const char*, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  const Scaled scaled = scale(static_cast<double>(bytes), 1024, kUnits.size());
  if (scaled.value == std::floor(scaled.value)) {
    return fmt::format("{:.0f} {}", scaled.value, kUnits[scaled.unit]);
  }
  return fmt::format("{} {}", three_digits(scaled.value), kUnits[scaled.unit]);
}

std::string duration(double seconds) {
  seconds = finite(seconds);
  if (seconds < 59.95) {
    return (seconds < 9.995 ? fmt::format("{:.2f}", seconds) : fmt::format("{:.1f}", seconds)) +
           " s";
  }
  const std::int64_t whole = std::llround(seconds);
  if (whole < 3600) {
    return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  }
  const std::int64_t minutes = whole / 60;
  if (minutes < 24 * 60) {
    return fmt::format("{} h {:02} min", minutes / 60, minutes % 60);
  }
  const std::int64_t hours = minutes / 60;
  return fmt::format("{} d {:02} h", hours / 24, hours % 24);
}

std::string clock_time(double seconds) {
  const std::int64_t whole = std::llround(finite(seconds));
  if (whole < 3600) {
    return fmt::format("{}:{:02}", whole / 60, whole % 60);
  }
  const std::int64_t hours = whole / 3600;
  if (hours < 24) {
    return fmt::format("{}:{:02}:{:02}", hours, whole / 60 % 60, whole % 60);
  }
  return fmt::format("{} d {:02} h", hours / 24, hours % 24);
}

}  // namespace penstock
