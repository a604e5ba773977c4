#include "report/tick_marks.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <utility>

namespace penstock {
namespace {

std::vector<double> multiples(double step, double min, double max) {
  std::vector<double> marks;
  const double first = std::ceil(min / step - 1e-9);
  const double last = std::floor(max / step + 1e-9);
  for (double number = first; number <= last; ++number) {
    marks.push_back(number * step + 0.0);  // no -0
  }
  return marks;
}

double round_step(double least) {
  const double power = std::pow(10, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= least * (1 - 1e-9)) {
      return factor * power;
    }
  }
  return 10 * power;
}

double step_of(double min, double max, int most, Chart::Unit unit) {
  const double least = (max - min) / (most - 1);
  return unit == Chart::Unit::kBytes ? std::exp2(std::ceil(std::log2(least))) : round_step(least);
}

// Up to six digits, without zeros at the end.
std::string digits(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.6g", value);
  return text.data();
}

std::string two_digits(double value) {
  const auto whole = static_cast<std::int64_t>(value);
  return (whole < 10 ? "0" : "") + std::to_string(whole);
}

std::string si_text(double value) {
  constexpr std::array<std::pair<double, const char*>, 4> kUnits = {
      {{1e12, " T"}, {1e9, " G"}, {1e6, " M"}, {1e3, " k"}}};
  for (const auto& [size, unit] : kUnits) {
    if (std::abs(value) >= size) {
      return digits(value / size) + unit;
    }
  }
  return digits(value);
}

std::string bytes_text(double value) {
  constexpr std::array<const char*, 5> kUnits = {" B", " KiB", " MiB", " GiB", " TiB"};
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return digits(value) + kUnits.at(unit);
}

}  // namespace

std::vector<double> tick_marks(double min, double max, int most, Chart::Unit unit) {
  return multiples(step_of(min, max, most, unit), min, max);
}

std::pair<double, double> round_range(double min, double max, int most, Chart::Unit unit) {
  const double step = step_of(min, max, most, unit);
  return {std::floor(min / step + 1e-9) * step, std::ceil(max / step - 1e-9) * step};
}

std::vector<double> time_marks(double min, double max, int most) {
  constexpr double kDay = 86'400;
  constexpr std::array<double, 16> kSteps = {
      1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 21'600, 43'200};
  const double least = (max - min) / (most - 1);
  if (least < 1) {
    return multiples(round_step(least), min, max);
  }
  const auto* step = std::lower_bound(kSteps.begin(), kSteps.end(), least);
  return multiples(step != kSteps.end() ? *step : kDay * std::ceil(least / kDay), min, max);
}

std::string mark_text(double value, Chart::Unit unit) {
  switch (unit) {
    case Chart::Unit::kNumber:
      return si_text(value);
    case Chart::Unit::kShare:
      return digits(100 * value) + " %";
    case Chart::Unit::kBytes:
      return bytes_text(value);
  }
  return si_text(value);
}

std::string time_text(double seconds) {
  if (seconds < 60) {
    return digits(seconds) + " s";
  }
  if (seconds < 3600) {
    return std::to_string(static_cast<int>(seconds / 60)) + ':' +
           two_digits(std::fmod(seconds, 60)) + " min";
  }
  return std::to_string(static_cast<std::int64_t>(seconds / 3600)) + ':' +
         two_digits(std::fmod(seconds, 3600) / 60) + " h";
}

}  // namespace penstock
