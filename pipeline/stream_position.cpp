#include "pipeline/stream_position.h"

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <utility>

#include <nlohmann/json.hpp>
#include <zlib.h>

#include "pipeline/json_damage.h"

namespace penstock {
namespace {

using Json = nlohmann::json;  // sorts its keys, so the same value is the same text

// Counts up when a key changes its meaning, goes away, or must be known.
constexpr int kVersion = 1;

std::uint32_t crc32_of(const std::string& text) {
  return static_cast<std::uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(text.data()), static_cast<uInt>(text.size())));
}

// Names of shards have no bytes that are not UTF-8 (escape_path), but those of custom sources may.
std::string dump(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

Json lane_json(const LanePosition& lane) {
  return {{"shard", lane.shard},
          {"name", lane.place.shard ? Json(*lane.place.shard) : Json(nullptr)},
          {"record", lane.place.record},
          {"byte_offset", lane.place.byte_offset}};
}

std::int64_t integer(const Json& json, const char* key, std::int64_t lowest = 0) {
  const Json& value = json.at(key);
  if (!value.is_number_integer() || value.get<std::int64_t>() < lowest) {
    throw std::runtime_error(std::string("'") + key + "' is " + dump(value, -1) +
                             ", expected a whole number of at least " + std::to_string(lowest));
  }
  return value.get<std::int64_t>();
}

LanePosition parse_lane(const Json& json) {
  LanePosition lane;
  lane.shard = integer(json, "shard");
  if (const Json& name = json.at("name"); !name.is_null()) {
    lane.place.shard = std::make_shared<const std::string>(name.get<std::string>());
  }
  lane.place.record = integer(json, "record", 1);
  lane.place.byte_offset = integer(json, "byte_offset");
  return lane;
}

StreamPosition parse_checked(const Json& json) {
  StreamPosition position;
  position.next_batch = integer(json, "next_batch");
  for (const Json& lane : json.at("lanes")) {
    position.lanes.push_back(parse_lane(lane));
  }
  const std::int64_t turn = integer(json, "turn");
  if (turn >= std::ssize(position.lanes)) {
    throw std::runtime_error("lane " + std::to_string(turn) + " is to deal next, but there are " +
                             std::to_string(position.lanes.size()));
  }
  position.turn = static_cast<int>(turn);
  const Json& tokens = json.at("tokens");
  position.account = {integer(tokens, "in"),
                      integer(tokens, "out"),
                      integer(tokens, "dropped"),
                      integer(tokens, "padded"),
                      integer(tokens, "repeated")};
  if (position.account.out < position.account.in) {
    throw std::runtime_error("fewer tokens are in batches than chunks gave before");
  }
  position.totals = {
      integer(json, "records"), integer(json, "documents"), integer(json, "rejects")};
  position.fingerprint = json.at("fingerprint").get<StreamFingerprint>();
  return position;
}

}  // namespace

std::string to_json(const StreamPosition& position) {
  Json lanes = Json::array();
  for (const LanePosition& lane : position.lanes) {
    lanes.push_back(lane_json(lane));
  }
  Json json = {{"next_batch", position.next_batch},
               {"lanes", std::move(lanes)},
               {"turn", position.turn},
               {"tokens",
                {{"in", position.account.in},
                 {"out", position.account.out},
                 {"dropped", position.account.dropped},
                 {"padded", position.account.padded},
                 {"repeated", position.account.repeated}}},
               {"records", position.totals.records},
               {"documents", position.totals.documents},
               {"rejects", position.totals.rejects},
               {"fingerprint", position.fingerprint}};
  const std::uint32_t checksum = crc32_of(dump(json, -1));
  return dump({{"version", kVersion}, {"crc32", checksum}, {"position", std::move(json)}}, 1) +
         '\n';
}

StreamPosition parse_stream_position(std::string_view text) {
  try {
    const Json json = Json::parse(text);
    if (const std::int64_t version = integer(json, "version", 1); version != kVersion) {
      throw std::runtime_error("it is of version " + std::to_string(version) +
                               "; this program knows version " + std::to_string(kVersion));
    }
    const Json& position = json.at("position");
    if (crc32_of(dump(position, -1)) != integer(json, "crc32")) {
      throw std::runtime_error("it is damaged: its checksum does not fit its content");
    }
    return parse_checked(position);
  } catch (const Json::exception& error) {
    throw std::runtime_error("it is damaged: " + describe_json_damage(error));
  }
}

std::vector<std::string> differences(const StreamFingerprint& before,
                                     const StreamFingerprint& now) {
  std::vector<std::string> texts;
  for (const auto& [name, value] : before) {
    const auto found = now.find(name);
    if (found == now.end()) {
      texts.push_back(name + " was " + value + " and is not there any more");
    } else if (found->second != value) {
      texts.push_back(name + " was " + value + " and is " + found->second + " now");
    }
  }
  for (const auto& [name, value] : now) {
    if (!before.contains(name)) {
      texts.push_back(name + " is " + value + " and was not there");
    }
  }
  return texts;
}

}  // namespace penstock
