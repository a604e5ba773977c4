#pragma once

#include <memory>

#include "stages/decompressor.h"

// For shards of one bzip2 stream after the other, as Wikipedia's "multistream" dumps are.
std::unique_ptr<penstock::Decompressor> make_bzip2_decompressor();
