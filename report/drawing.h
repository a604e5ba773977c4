#pragma once

#include <memory>
#include <string>
#include <vector>

#include "report/decimate.h"

namespace penstock {

struct Colour {
  double red = 0;  // 0 to 1
  double green = 0;
  double blue = 0;
};

// A picture in pixels, (0, 0) at the top left. Throws std::runtime_error where there is no memory
// for it.
class Drawing {
 public:
  enum class Align { kLeft, kCentre, kRight };
  struct Box {
    double left = 0;
    double top = 0;
    double width = 0;
    double height = 0;
  };

  // White.
  Drawing(int width, int height);
  ~Drawing();
  Drawing(Drawing&&) noexcept;
  Drawing& operator=(Drawing&&) noexcept;

  void line(Point from, Point to, double width, Colour colour);
  // Cut off at the box.
  void curve(const std::vector<Point>& points, double width, Colour colour, const Box& box);
  void dot(Point centre, double radius, Colour colour);
  void rectangle(const Box& box, Colour colour);
  // `at` is at the base line.
  void text(const std::string& text,
            Point at,
            double size,
            Align align,
            Colour colour,
            bool bold = false);
  // From bottom to top, centred.
  void upright_text(const std::string& text, Point at, double size, Colour colour);
  double text_width(const std::string& text, double size) const;

  std::string png() const;

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace penstock
