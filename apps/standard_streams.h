#pragma once

#include <string_view>

namespace penstock {

// Opens /dev/null in the place of standard streams that are closed, so that no file opened later
// takes their place. Reading such a standard input fails. Call it before anything opens a file.
void open_closed_streams();

// Makes writing to a closed pipe, and past the limit on the size of files, an error instead of the
// end of the process.
void make_failed_writes_errors();

// Writes at once, without a buffer. A reader that has gone away is no error: the rest is thrown
// away. Throws std::system_error for every other failure, such as a full disk.
void write_standard_output(std::string_view text);

// Writes at once; there is nowhere to report a failure to.
void write_standard_error(std::string_view text);

bool standard_error_is_terminal();
// Columns of the terminal behind standard error; 80 where that is not known.
int terminal_columns();

}  // namespace penstock
