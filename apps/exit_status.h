#pragma once

namespace penstock {

// What the `penstock` command exits with.
constexpr int kExitSuccess = 0;
constexpr int kExitRunFailed = 1;
constexpr int kExitUsage = 2;         // the command line or the configuration is wrong; nothing ran
constexpr int kExitSignalBase = 128;  // plus the signal that ended a run: 130 for Ctrl-C

}  // namespace penstock
