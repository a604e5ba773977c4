#include "report/drawing.h"

#include <cmath>
#include <numbers>
#include <stdexcept>

#include <cairo.h>

namespace penstock {
namespace {

struct DestroySurface {
  void operator()(cairo_surface_t* surface) const { cairo_surface_destroy(surface); }
};
struct DestroyContext {
  void operator()(cairo_t* context) const { cairo_destroy(context); }
};

void check(cairo_status_t status) {
  if (status != CAIRO_STATUS_SUCCESS) {
    throw std::runtime_error(std::string("cannot draw: ") + cairo_status_to_string(status));
  }
}

cairo_status_t append(void* text, const unsigned char* bytes, unsigned int size) {
  static_cast<std::string*>(text)->append(bytes, bytes + size);
  return CAIRO_STATUS_SUCCESS;
}

}  // namespace

class Drawing::Implementation {
 public:
  Implementation(int width, int height)
      : surface_(cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height)),
        context_(cairo_create(surface_.get())) {
    check(cairo_status(context_.get()));
    cairo_set_source_rgb(context_.get(), 1, 1, 1);
    cairo_paint(context_.get());
    cairo_set_line_join(context_.get(), CAIRO_LINE_JOIN_ROUND);
    cairo_set_line_cap(context_.get(), CAIRO_LINE_CAP_ROUND);
  }

  cairo_t* context() const { return context_.get(); }
  cairo_surface_t* surface() const { return surface_.get(); }

  void set_colour(Colour colour) const {
    cairo_set_source_rgb(context(), colour.red, colour.green, colour.blue);
  }
  void set_font(double size, bool bold) const {
    cairo_select_font_face(context(),
                           "sans-serif",
                           CAIRO_FONT_SLANT_NORMAL,
                           bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(context(), size);
  }
  double width_of(const std::string& text) const {
    cairo_text_extents_t extents;
    cairo_text_extents(context(), text.c_str(), &extents);
    return extents.x_advance;
  }

 private:
  std::unique_ptr<cairo_surface_t, DestroySurface> surface_;
  std::unique_ptr<cairo_t, DestroyContext> context_;
};

Drawing::Drawing(int width, int height)
    : implementation_(std::make_unique<Implementation>(width, height)) {}

Drawing::~Drawing() = default;
Drawing::Drawing(Drawing&&) noexcept = default;
Drawing& Drawing::operator=(Drawing&&) noexcept = default;

void Drawing::line(Point from, Point to, double width, Colour colour) {
  implementation_->set_colour(colour);
  cairo_t* const context = implementation_->context();
  cairo_set_line_width(context, width);
  cairo_move_to(context, from.x, from.y);
  cairo_line_to(context, to.x, to.y);
  cairo_stroke(context);
}

void Drawing::curve(const std::vector<Point>& points, double width, Colour colour, const Box& box) {
  implementation_->set_colour(colour);
  cairo_t* const context = implementation_->context();
  cairo_save(context);
  cairo_rectangle(context, box.left, box.top, box.width, box.height);
  cairo_clip(context);
  cairo_set_line_width(context, width);
  for (const Point& point : points) {
    cairo_line_to(context, point.x, point.y);
  }
  cairo_stroke(context);
  cairo_restore(context);
}

void Drawing::dot(Point centre, double radius, Colour colour) {
  implementation_->set_colour(colour);
  cairo_t* const context = implementation_->context();
  cairo_arc(context, centre.x, centre.y, radius, 0, 2 * std::numbers::pi);
  cairo_fill(context);
}

void Drawing::rectangle(const Box& box, Colour colour) {
  implementation_->set_colour(colour);
  cairo_t* const context = implementation_->context();
  cairo_rectangle(context, box.left, box.top, box.width, box.height);
  cairo_fill(context);
}

void Drawing::text(
    const std::string& text, Point at, double size, Align align, Colour colour, bool bold) {
  implementation_->set_colour(colour);
  implementation_->set_font(size, bold);
  const double width = implementation_->width_of(text);
  const double shift = align == Align::kLeft ? 0 : align == Align::kRight ? width : width / 2;
  cairo_t* const context = implementation_->context();
  cairo_move_to(context, at.x - shift, at.y);
  cairo_show_text(context, text.c_str());
}

void Drawing::upright_text(const std::string& text, Point at, double size, Colour colour) {
  implementation_->set_colour(colour);
  implementation_->set_font(size, false);
  cairo_t* const context = implementation_->context();
  cairo_save(context);
  cairo_move_to(context, at.x, at.y + implementation_->width_of(text) / 2);
  cairo_rotate(context, -std::numbers::pi / 2);
  cairo_show_text(context, text.c_str());
  cairo_restore(context);
}

double Drawing::text_width(const std::string& text, double size) const {
  implementation_->set_font(size, false);
  return implementation_->width_of(text);
}

std::string Drawing::png() const {
  std::string bytes;
  check(cairo_status(implementation_->context()));
  check(cairo_surface_write_to_png_stream(implementation_->surface(), append, &bytes));
  return bytes;
}

}  // namespace penstock
