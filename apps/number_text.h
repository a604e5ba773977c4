#pragma once

#include <cstdint>
#include <string>

namespace penstock {

// 1234567 -> "1,234,567"
std::string grouped(std::int64_t value);
// "1 record", "1,038 records"
std::string counted(std::int64_t value, const std::string& noun);

// Three significant digits with an SI prefix: "0", "12.3", "655 k", "1.23 M". Not negative.
std::string si_number(double value);
// "1.23 M tokens/s"
std::string token_rate(double tokens_per_second);
// Decimal units: "512 B", "746 kB", "3.24 MB"
std::string data_size(std::int64_t bytes);
// In 10^6 bytes: "0.52 MB/s", "45.3 MB/s", "1,234 MB/s"
std::string data_rate(double bytes_per_second);
// Binary units: "512 B", "11.8 MiB", "1 GiB"
std::string memory_size(std::int64_t bytes);

// "0.42 s", "12.3 s", "3 min 05 s", "2 h 03 min", "3 d 04 h"
std::string duration(double seconds);
// "0:42", "1:02:03", "4 d 03 h"
std::string clock_time(double seconds);

}  // namespace penstock
