#pragma once

#include <string>

namespace penstock {

// The file files.json of a checkpoint: path, size and CRC-32 of each of its other files, so that
// damage to any of them is noticed. Both functions read all of them: about a second for a gigabyte.

// In the folder, whose files are all there. Throws FileError.
void write_checkpoint_files(const std::string& checkpoint);

// Throws FileError, which names a file that is not as it was written. Files that were added are
// passed over.
void check_checkpoint_files(const std::string& checkpoint);

}  // namespace penstock
