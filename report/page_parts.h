#pragma once

#include <string_view>

namespace penstock::page_parts {

// What the page is put together from. CMake makes the texts out of report/page/ and the chart
// library.
extern const std::string_view kHead;   // up to the style
extern const std::string_view kStyle;  // CSS
extern const std::string_view kBody;   // up to the data
extern const std::string_view kChartLibrary;
extern const std::string_view kScript;

}  // namespace penstock::page_parts
