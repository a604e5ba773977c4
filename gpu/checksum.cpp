#include "gpu/checksum.h"

#include <fstream>
#include <stdexcept>
#include <string>

#include <nlohmann/json.hpp>

#include "gpu/stream_checksum.h"
#include "pipeline/atomic_file.h"
#include "pipeline/errors.h"
#include "pipeline/json_damage.h"

namespace penstock::gpu {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFile = "/checksum.json";

}  // namespace

Checksum::Checksum(const std::string& resume_folder)
    : before_(resume_folder.empty() ? Arrived() : read(resume_folder + kFile)),
      sent_(before_.checksum),
      cells_sent_(before_.cells) {}

Checksum::Arrived Checksum::read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    throw FileError("cannot read '" + path + "': the checkpoint holds no state of 'checksum'");
  }
  try {
    const Json state = Json::parse(file);
    return {state.at("checksum").get<std::uint64_t>(),
            state.at("cells").get<std::uint64_t>(),
            state.at("tokens").get<std::int64_t>(),
            state.at("batches").get<std::int64_t>()};
  } catch (const Json::exception& error) {
    throw FileError("'" + path + "' is damaged: " + describe_json_damage(error));
  }
}

CheckpointPart Checksum::save(const Arrived& arrived) {
  return [arrived](const std::string& folder) {
    const Json state = {{"checksum", arrived.checksum},
                        {"cells", arrived.cells},
                        {"tokens", arrived.tokens},
                        {"batches", arrived.batches}};
    AtomicFile file(folder + kFile);
    file.write(state.dump(1) + '\n');
    file.commit();
  };
}

void Checksum::hand_over(const Batch& batch) {
  sent_ += stream_checksum(batch.tokens, cells_sent_);
  cells_sent_ += batch.tokens.size();
}

std::vector<Result> Checksum::results() {
  const Arrived here = arrived();
  if (sent_ != here.checksum || cells_sent_ != here.cells) {
    throw std::runtime_error("what arrived on the device is not what was sent: checksum " +
                             checksum_text(here.checksum) + " of " + std::to_string(here.cells) +
                             " tokens, sent " + checksum_text(sent_) + " of " +
                             std::to_string(cells_sent_));
  }
  return {{"batches", here.batches},
          {"tokens", here.tokens},
          {"checksum", checksum_text(here.checksum)},
          {"verified", std::string("every token arrived once, whole and in order")}};
}

}  // namespace penstock::gpu
