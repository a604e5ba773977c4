#include "report/plot.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <system_error>
#include <tuple>
#include <utility>

#include "pipeline/atomic_file.h"
#include "pipeline/errors.h"
#include "report/tick_marks.h"

namespace penstock {
namespace {

using Align = Drawing::Align;
using Box = Drawing::Box;

constexpr int kWidth = 1200;
constexpr int kHeight = 700;
constexpr double kMargin = 30;
constexpr double kTitleSize = 28;
constexpr double kTextSize = 20;
constexpr double kLegendHeight = 40;
constexpr int kMostMarks = 8;
constexpr std::size_t kMaxPoints = 2000;
constexpr std::size_t kMaxStretches = 300;

constexpr Colour kText{0.11, 0.14, 0.17};
constexpr Colour kFaint{0.36, 0.40, 0.45};
constexpr Colour kGrid{0.87, 0.88, 0.91};
// Of Okabe and Ito, which people with any colour vision tell apart, as on the page.
constexpr std::array<Colour, 7> kColours = {{{0.00, 0.45, 0.70},
                                             {0.84, 0.37, 0.00},
                                             {0.00, 0.62, 0.45},
                                             {0.64, 0.28, 0.56},
                                             {0.69, 0.48, 0.00},
                                             {0.24, 0.27, 0.33},
                                             {0.76, 0.09, 0.36}}};
constexpr Colour kLimits = kColours[1];
constexpr Colour kWorks = kColours[0];
constexpr std::array<Colour, 4> kWaits = {
    {{0.79, 0.83, 0.87}, {0.89, 0.84, 0.72}, {0.81, 0.89, 0.84}, {0.89, 0.81, 0.88}}};

Colour colour_of(std::size_t series) {
  return kColours.at(series % kColours.size());
}

// From the lowest value to the highest one.
struct Range {
  double min = 0;
  double max = 0;

  void add(double value) {
    min = std::min(min, value);
    max = std::max(max, value);
  }
  // Where there is one value only, some room around it.
  void widen() {
    if (max - min < 1e-9 * std::max(std::abs(min), std::abs(max)) || max == min) {
      const double room = max == 0 ? 1 : 0.1 * std::abs(max);
      min -= room;
      max += room;
    }
  }
  double place(double value) const { return (value - min) / (max - min); }
};

struct Ranges {
  Range x;
  Range y;
};

bool begins_at_zero(const Chart& chart) {
  return chart.unit == Chart::Unit::kBytes || chart.id == "throughput" || chart.id == "cpu_cores" ||
         chart.id == "occupancy" || chart.id == "gpu";
}

Ranges ranges_of(const Chart& chart) {
  Ranges ranges;
  bool is_first = true;
  for (const Chart::Series& series : chart.series) {
    for (const Point& point : series.points) {
      if (std::exchange(is_first, false)) {
        ranges = {{point.x, point.x}, {point.y, point.y}};
      }
      ranges.x.add(point.x);
      ranges.y.add(point.y);
    }
  }
  if (!chart.is_scatter) {
    ranges.x.add(0);
  }
  if (begins_at_zero(chart)) {
    ranges.y.add(0);
  }
  ranges.x.widen();
  ranges.y.widen();
  std::tie(ranges.y.min, ranges.y.max) =
      round_range(ranges.y.min, ranges.y.max, kMostMarks, chart.unit);
  return ranges;
}

void draw_title(Drawing& drawing, const std::string& title) {
  drawing.text(title, {kMargin, kMargin + kTitleSize}, kTitleSize, Align::kLeft, kText, true);
}

// Below the title.
void draw_legend(Drawing& drawing, const std::vector<std::pair<std::string, Colour>>& entries) {
  double left = kMargin;
  const double base = kMargin + kTitleSize + kLegendHeight - 6;
  for (const auto& [name, colour] : entries) {
    drawing.rectangle({left, base - 13, 16, 12}, colour);
    left += 24;
    drawing.text(name, {left, base}, kTextSize, Align::kLeft, kText);
    left += drawing.text_width(name, kTextSize) + 26;
  }
}

struct Mark {
  double place = 0;  // 0 to 1
  std::string text;
};

// The plot's area within its labels, with marks and grid drawn.
Box draw_axes(Drawing& drawing,
              const std::vector<Mark>& x_marks,
              const std::vector<Mark>& y_marks,
              const std::string& x_label,
              const std::string& y_label,
              int height) {
  double label_width = 0;
  for (const Mark& mark : y_marks) {
    label_width = std::max(label_width, drawing.text_width(mark.text, kTextSize));
  }
  const double left = kMargin + (y_label.empty() ? 0 : kTextSize + 14) + label_width + 12;
  const double top = kMargin + kTitleSize + kLegendHeight + 20;
  const double bottom = height - kMargin - 2 * kTextSize - 24;
  const Box box{left, top, kWidth - kMargin - 30 - left, bottom - top};
  for (const Mark& mark : x_marks) {
    const double x = box.left + mark.place * box.width;
    drawing.line({x, top}, {x, bottom}, 1, kGrid);
    drawing.text(mark.text, {x, bottom + kTextSize + 8}, kTextSize, Align::kCentre, kFaint);
  }
  for (const Mark& mark : y_marks) {
    const double y = bottom - mark.place * box.height;
    drawing.line({left, y}, {left + box.width, y}, 1, kGrid);
    drawing.text(mark.text, {left - 12, y + 0.35 * kTextSize}, kTextSize, Align::kRight, kFaint);
  }
  drawing.text(
      x_label, {box.left + box.width / 2, height - kMargin + 4}, kTextSize, Align::kCentre, kFaint);
  if (!y_label.empty()) {
    drawing.upright_text(y_label, {kMargin + kTextSize, top + box.height / 2}, kTextSize, kFaint);
  }
  return box;
}

std::vector<Mark> marks_of(const std::vector<double>& values,
                           const Range& range,
                           const std::function<std::string(double)>& text) {
  std::vector<Mark> marks;
  for (const double value : values) {
    marks.push_back({range.place(value), text(value)});
  }
  return marks;
}

std::vector<Mark> x_marks_of(const std::string& label, const Range& range) {
  if (label == "seconds") {
    return marks_of(time_marks(range.min, range.max, kMostMarks), range, time_text);
  }
  return marks_of(tick_marks(range.min, range.max, kMostMarks, Chart::Unit::kNumber),
                  range,
                  [](double value) { return mark_text(value, Chart::Unit::kNumber); });
}

std::string axis_text(const std::string& label) {
  return label == "seconds" ? "time" : label;
}

bool has_points(const Chart& chart) {
  return std::any_of(chart.series.begin(), chart.series.end(), [](const Chart::Series& series) {
    return !series.points.empty();
  });
}

void draw_series(Drawing& drawing,
                 const Chart& chart,
                 const Chart::Series& series,
                 Colour colour,
                 const Ranges& ranges,
                 const Box& box) {
  constexpr std::size_t kFewPoints = 60;
  std::vector<Point> places;
  for (const Point& point : series.points) {
    places.push_back({box.left + ranges.x.place(point.x) * box.width,
                      box.top + (1 - ranges.y.place(point.y)) * box.height});
  }
  if (!chart.is_scatter) {
    drawing.curve(places, 2.5, colour, box);
  }
  if (chart.is_scatter || places.size() <= kFewPoints) {
    for (const Point& place : places) {
      drawing.dot(place, chart.is_scatter ? 3 : 4, colour);
    }
  }
}

Colour state_colour(const std::string& state, std::map<std::string, Colour>& waits) {
  if (state == "limits") {
    return kLimits;
  }
  if (state == "works") {
    return kWorks;
  }
  return waits.emplace(state, kWaits.at(waits.size() % kWaits.size())).first->second;
}

void write_file(const std::string& path, const Drawing& drawing) {
  AtomicFile file(path);
  file.write(drawing.png());
  file.commit();
}

}  // namespace

Drawing plot_chart(const Chart& chart) {
  Drawing drawing(kWidth, kHeight);
  draw_title(drawing, chart.title);
  const Ranges ranges = ranges_of(chart);
  const Box box = draw_axes(drawing,
                            x_marks_of(chart.x_label, ranges.x),
                            marks_of(tick_marks(ranges.y.min, ranges.y.max, kMostMarks, chart.unit),
                                     ranges.y,
                                     [&](double value) { return mark_text(value, chart.unit); }),
                            axis_text(chart.x_label),
                            chart.y_label,
                            kHeight);
  std::vector<std::pair<std::string, Colour>> legend;
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    if (!chart.series[i].points.empty()) {
      draw_series(drawing, chart, chart.series[i], colour_of(i), ranges, box);
      legend.emplace_back(chart.series[i].name, colour_of(i));
    }
  }
  if (legend.size() > 1) {
    draw_legend(drawing, legend);
  }
  return drawing;
}

Drawing plot_standings(const std::vector<Standing>& standings) {
  const int height = 260 + 70 * static_cast<int>(standings.size());
  Drawing drawing(kWidth, height);
  draw_title(drawing, "Recent performance");
  Range range;
  std::vector<double> changes;
  for (const Standing& standing : standings) {
    changes.push_back(standing.mean == 0 ? 0 : standing.recent / standing.mean - 1);
    range.add(1.1 * changes.back());
  }
  range.widen();
  std::vector<Mark> names;
  const auto count = static_cast<double>(standings.size());
  for (std::size_t i = 0; i < standings.size(); ++i) {
    names.push_back({1 - (static_cast<double>(i) + 0.5) / count, standings[i].name});
  }
  const Box box =
      draw_axes(drawing,
                marks_of(tick_marks(range.min, range.max, 8, Chart::Unit::kShare),
                         range,
                         [](double value) {
                           return (value > 0 ? "+" : "") + mark_text(value, Chart::Unit::kShare);
                         }),
                names,
                "last tenth of the run against its mean",
                "",
                height);
  const double row = box.height / count;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const double zero = range.place(0);
    const double end = range.place(changes[i]);
    drawing.rectangle({box.left + std::min(zero, end) * box.width,
                       box.top + (static_cast<double>(i) + 0.25) * row,
                       std::abs(end - zero) * box.width,
                       row / 2},
                      kColours[0]);
  }
  return drawing;
}

Drawing plot_time_line(const TimeLine& line) {
  const int height = 240 + 44 * static_cast<int>(line.rows.size());
  Drawing drawing(kWidth, height);
  draw_title(drawing, "Who waits for whom");
  Range range;
  std::vector<Mark> names;
  const auto count = static_cast<double>(line.rows.size());
  for (std::size_t i = 0; i < line.rows.size(); ++i) {
    range.add(line.rows[i].segments.back().end);
    names.push_back({1 - (static_cast<double>(i) + 0.5) / count, line.rows[i].who});
  }
  range.widen();
  const Box box = draw_axes(drawing, x_marks_of("seconds", range), names, "time", "", height);
  const double row_height = box.height / count;
  std::map<std::string, Colour> waits;
  for (std::size_t i = 0; i < line.rows.size(); ++i) {
    for (const TimeLine::Segment& segment : line.rows[i].segments) {
      drawing.rectangle({box.left + range.place(segment.begin) * box.width,
                         box.top + (static_cast<double>(i) + 0.12) * row_height,
                         (range.place(segment.end) - range.place(segment.begin)) * box.width,
                         0.76 * row_height},
                        state_colour(segment.state, waits));
    }
  }
  std::vector<std::pair<std::string, Colour>> legend = {{"limits", kLimits}, {"works", kWorks}};
  legend.insert(legend.end(), waits.begin(), waits.end());
  draw_legend(drawing, legend);
  return drawing;
}

std::vector<std::string> write_plots(const RunFolder& run, const std::string& output) {
  const RunData data = read_run_data(run);
  std::vector<std::pair<std::string, Drawing>> plots;
  for (const Chart& chart : charts_of(data, axis_of(data.metrics), kMaxPoints)) {
    if (has_points(chart)) {
      plots.emplace_back(chart.id, plot_chart(chart));
    }
  }
  const std::vector<Standing> standings = standings_of(data.metrics);
  if (!standings.empty()) {
    plots.emplace_back("standings", plot_standings(standings));
  }
  if (!data.occupancy.empty()) {
    plots.emplace_back(
        "time_line", plot_time_line(time_line_of(merge_occupancy(data.occupancy, kMaxStretches))));
  }
  if (plots.empty()) {
    throw FileError("there is nothing to draw: '" + run.path + "' holds no history of a run");
  }
  std::error_code error;
  std::filesystem::create_directories(output, error);
  if (error) {
    throw FileError("cannot make the folder '" + output + "': " + error.message());
  }
  std::vector<std::string> paths;
  for (const auto& [id, drawing] : plots) {
    paths.push_back(output + '/' + id + ".png");
    write_file(paths.back(), drawing);
  }
  return paths;
}

}  // namespace penstock
