#include "stages/tokenizer/normalizer.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <vector>

#include "pipeline/utf8.h"
#include "stages/tokenizer/model_refused.h"
#include "stages/tokenizer/piece_text.h"
#include "stages/tokenizer/utf8_decoding.h"

// The library's algorithm, with a space where it has U+2581: at every place of the text, a
// user-defined symbol stands for itself, else the longest rule of the charsmap applies, else a
// character is copied. Where extra white space is removed, spaces at the front of what comes out
// are left out when what came out before ended with one, or nothing did, and at the end of the text
// all trailing ones are taken back. (A U+2581 in the text is not a space to the first part of this,
// but is to the second.)
namespace penstock {
namespace {

constexpr char32_t kSpaceSymbolCodePoint = 0x2581;
constexpr char32_t kAsciiEnd = 0x80;
constexpr std::size_t kLongestUserDefined = 64;
constexpr std::size_t kBlock = TextKernels::kBlockBytes;

std::string_view between(const char* begin, const char* end) {
  return {begin, static_cast<std::size_t>(end - begin)};
}

// A bit for each of the first `size` bytes of a block.
std::uint64_t first_bits(std::size_t size) {
  return size == kBlock ? ~std::uint64_t{0} : (std::uint64_t{1} << size) - 1;
}

std::size_t lowest_bit(std::uint64_t bits) {
  return static_cast<std::size_t>(std::countr_zero(bits));
}

std::size_t previous_character(const char* text, std::size_t index) {
  do {
    --index;
  } while (index > 0 && (static_cast<unsigned char>(text[index]) & 0xC0U) == 0x80U);
  return index;
}

}  // namespace

// Goes through one text. There is always room for what is left of it, for a suffix, and for a block
// more.
class Normalizer::Run {
 public:
  Run(const Normalizer& normalizer, std::string_view text, ByteBuffer& buffer)
      : normalizer_(normalizer),
        buffer_(buffer),
        in_(text.data()),
        end_(text.data() + text.size()),
        after_space_(normalizer.removes_spaces_) {
    buffer.clear();
    buffer.reserve(kMargin + 2 + text.size() + kBlock);
    *buffer.data() = ' ';
    out_ = buffer.data() + kMargin;
  }

  std::string_view run() {
    if (normalizer_.add_prefix_) {
      *out_++ = ' ';
    }
    if (normalizer_.copies_) {
      out_ = append_with_spaces(between(in_, end_), out_);
    } else {
      while (in_ < end_) {
        do_block();
      }
    }
    const char* const begin = buffer_.data() + kMargin;
    while (normalizer_.removes_spaces_ && out_ > begin && out_[-1] == ' ') {
      --out_;
    }
    if (normalizer_.add_suffix_) {
      *out_++ = ' ';
    }
    buffer_.resize(static_cast<std::size_t>(out_ - buffer_.data()));
    return between(begin, out_);
  }

 private:
  // Where a block can be copied up to, and what is to be done with the character there.
  enum class Next { kBlock, kStep, kUnknown };
  struct Stop {
    std::size_t index;
    Next next;
  };

  // Copies up to 64 bytes, or up to a character that is not copied, and does what is to be done
  // with that.
  void do_block() {
    const auto left = static_cast<std::size_t>(end_ - in_);
    const std::size_t size = std::min(left, kBlock);
    // A character, and the one behind it, may reach beyond the block.
    constexpr std::size_t kBehind = 8;
    char padded[kBlock + kBehind];
    const char* block = in_;
    if (left < sizeof padded) {
      std::memset(padded, 0, sizeof padded);
      std::memcpy(padded, in_, left);
      block = padded;
    }
    char mapped[2 * kBlock];
    MappedBlock masks = normalizer_.kernels_.map_block(normalizer_.mapping_, block, mapped);
    masks.special &= first_bits(size);
    Stop stop = find_stop(masks, block, size);
    if (stop.next == Next::kBlock && stop.index < left && stop.index > 0 &&
        has_flag(decode_utf8(block + stop.index), kContinues)) {
      stop = {previous_character(block, stop.index), Next::kStep};
    }
    copy(mapped, masks.spaces, stop.index);
    if (stop.next == Next::kStep) {
      do_step();
    } else if (stop.next == Next::kUnknown) {
      do_unknown();
    }
  }

  bool has_flag(char32_t character, std::uint8_t flag) const {
    return (normalizer_.flags_[character] & flag) != 0;
  }

  Stop find_stop(const MappedBlock& masks, const char* block, std::size_t size) const {
    std::size_t stop = size;
    if (masks.special != 0) {
      stop = lowest_bit(masks.special);
      while (stop > 0 && has_flag(decode_utf8(block + stop), kContinues)) {
        stop = previous_character(block, stop);
      }
    }
    for (std::uint64_t leads = masks.leads; leads != 0; leads &= leads - 1) {
      const std::size_t index = lowest_bit(leads);
      if (index >= stop) {
        break;
      }
      if (index + utf8_length(block[index]) > kBlock) {
        return {index, Next::kBlock};
      }
      const std::uint8_t flags = normalizer_.flags_[decode_utf8(block + index)];
      if (flags == kUnknown) {
        return {index, Next::kUnknown};
      }
      if (flags != 0) {
        const bool goes_back = (flags & kContinues) != 0 && index > 0;
        return {goes_back ? previous_character(block, index) : index, Next::kStep};
      }
    }
    return {stop, masks.special != 0 ? Next::kStep : Next::kBlock};
  }

  // The first `size` bytes of a mapped block, without the spaces that are to be left out.
  void copy(const char* mapped, std::uint64_t spaces, std::size_t size) {
    if (size == 0) {
      return;
    }
    std::size_t begin = 0;
    if (normalizer_.removes_spaces_) {
      spaces &= first_bits(size);
      std::uint64_t dropped = spaces & (spaces << 1U | (after_space_ ? 1U : 0U));
      after_space_ = (spaces >> (size - 1) & 1U) != 0;
      while (dropped != 0) {
        const std::size_t gap = lowest_bit(dropped);
        std::memcpy(out_, mapped + begin, kBlock);
        out_ += gap - begin;
        begin = gap + static_cast<std::size_t>(std::countr_one(dropped >> gap));
        dropped &= ~first_bits(begin);
      }
    }
    std::memcpy(out_, mapped + begin, kBlock);
    out_ += size - begin;
    in_ += size;
  }

  // A run of unknown characters, but for one that what follows may combine with.
  void do_unknown() {
    std::uint8_t flags = kUnknown;
    do {
      const char* const next = in_ + utf8_length(*in_);
      flags = next < end_ ? normalizer_.flags_[decode_utf8(next)] : 0;
      if ((flags & kContinues) != 0) {
        do_step();
        return;
      }
      *out_++ = *normalizer_.unknown_;
      after_space_ = false;
      in_ = next;
    } while (flags == kUnknown);
  }

  void do_step() {
    const Step step = normalizer_.step(between(in_, end_));
    in_ += step.length;
    std::string_view output = step.output;
    while (after_space_ && output.starts_with(' ')) {
      output.remove_prefix(1);
    }
    if (output.empty()) {
      return;
    }
    after_space_ = normalizer_.removes_spaces_ && output.ends_with(' ');
    const auto written = static_cast<std::size_t>(out_ - buffer_.data());
    const auto left = static_cast<std::size_t>(end_ - in_);
    const std::size_t needed = written + output.size() + left + 1 + kBlock;
    if (needed > buffer_.capacity()) {
      buffer_.resize(written);
      buffer_.reserve(needed + buffer_.capacity() / 2);
      out_ = buffer_.data() + written;
    }
    out_ = append_with_spaces(output, out_);
  }

  const Normalizer& normalizer_;
  ByteBuffer& buffer_;
  const char* in_;
  const char* const end_;
  char* out_ = nullptr;
  bool after_space_;  // a space that comes next is left out
};

Normalizer::Normalizer(const SentencePieceModel& model,
                       TextKernels kernels,
                       std::optional<char> unknown)
    : kernels_(kernels),
      unknown_(unknown),
      add_prefix_(model.normalizer.add_dummy_prefix && !model.treat_whitespace_as_suffix),
      add_suffix_(model.normalizer.add_dummy_prefix && model.treat_whitespace_as_suffix),
      removes_spaces_(model.normalizer.remove_extra_whitespaces),
      flags_(unknown ? kUnknown : 0) {
  if (!model.normalizer.escape_whitespaces) {
    throw ModelRefused("it does not write spaces as U+2581");
  }
  if (!model.normalizer.charsmap.empty()) {
    charsmap_ = Charsmap(model.normalizer.charsmap);
  }
  copies_ = charsmap_.empty() && !removes_spaces_ && !unknown;
  keep_known(model);
  add_user_defined(model);
  add_charsmap_roles();
  flags_.add(kSpaceSymbolCodePoint, kNeedsStep);
  fill_mapping();
}

void Normalizer::keep_known(const SentencePieceModel& model) {
  if (!unknown_) {
    return;
  }
  for (char32_t character = 0; character < kAsciiEnd; ++character) {
    flags_.remove(character, kUnknown);
  }
  flags_.remove(kSpaceSymbolCodePoint, kUnknown);
  for (const Piece& piece : model.pieces) {
    std::string_view rest = is_utf8(piece.text) ? std::string_view(piece.text) : "";
    while (!rest.empty()) {
      const Utf8Character first = first_utf8_character(rest);
      flags_.remove(first.code_point, kUnknown);
      rest.remove_prefix(first.length);
    }
  }
}

// The text is only looked at for a user-defined symbol where that can make a difference: where it
// keeps a rule from being applied, or keeps spaces. Of one character, it keeps that character from
// being replaced on its own, or with those behind it, where there is a step in any case.
void Normalizer::add_user_defined(const SentencePieceModel& model) {
  // Without rules and spaces, a symbol comes out as it goes in. One without spaces may hide one
  // that has some, so all of them count or none.
  const bool symbols_count =
      !charsmap_.empty() ||
      std::any_of(model.pieces.begin(), model.pieces.end(), [](const Piece& piece) {
        return piece.type == PieceType::kUserDefined && piece.text.find(' ') != std::string::npos;
      });
  std::vector<ByteTrie::Entry> entries;
  for (const Piece& piece : model.pieces) {
    if (piece.type != PieceType::kUserDefined) {
      continue;
    }
    if (!is_utf8(piece.text) || piece.text.find('\0') != std::string::npos) {
      throw ModelRefused("a user-defined symbol is not valid UTF-8 or has a zero byte");
    }
    // The library sees at most 64 symbols that a text begins with.
    if (piece.text.size() > kLongestUserDefined) {
      throw ModelRefused("a user-defined symbol is longer than 64 bytes");
    }
    if (!symbols_count) {
      continue;
    }
    const Utf8Character first = first_utf8_character(piece.text);
    const bool has_space = piece.text.find(' ') != std::string::npos;
    entries.push_back({piece.text, 0});
    if (has_space || first.length < piece.text.size() ||
        charsmap_.longest_rule(piece.text).length > 0) {
      flags_.add(first.code_point, kNeedsStep);
    }
  }
  has_user_defined_ = !entries.empty();
  user_defined_ = ByteTrie(std::move(entries));
}

void Normalizer::add_charsmap_roles() {
  charsmap_.visit_roles([this](char32_t character, Charsmap::Role role) {
    std::uint8_t flags = role.continues ? kContinues : 0;
    if (role.is_replaced && character >= kAsciiEnd) {
      flags |= kNeedsStep;
    }
    flags_.add(character, flags);
  });
}

void Normalizer::fill_mapping() {
  for (char32_t code = 0; code < kAsciiEnd; ++code) {
    const char character = static_cast<char>(code);
    const std::string_view text(&character, 1);
    const Charsmap::Rule rule = charsmap_.longest_rule(text);
    const std::string_view becomes = rule.length == 0 ? text : rule.replacement;
    const char lower = static_cast<char>(character | ' ');
    const bool is_upper = character >= 'A' && character <= 'Z';
    if (flags_[code] != 0) {
      mapping_.is_special.add(character);
    } else if (becomes == " ") {
      mapping_.becomes_space.add(character);
    } else if (is_upper && becomes == std::string_view(&lower, 1)) {
      mapping_.becomes_lower_case.add(character);
    } else if (becomes != text) {
      mapping_.is_special.add(character);
    }
  }
}

Normalizer::Step Normalizer::step(std::string_view text) const {
  if (has_user_defined_) {
    const std::size_t length = user_defined_.longest_prefix(text).length;
    if (length > 0) {
      return {text.substr(0, length), length};
    }
  }
  const Charsmap::Rule rule = charsmap_.longest_rule(text);
  if (rule.length > 0) {
    return {rule.replacement, rule.length};
  }
  const std::size_t length = utf8_length(text[0]);
  return {text.substr(0, length), length};
}

// The library does this first. It makes a difference where the model puts a suffix behind texts,
// but not behind those without anything else.
std::string_view Normalizer::without_leading_spaces(std::string_view text) const {
  while (!text.empty()) {
    const Step first = step(text);
    if (first.output != " ") {
      break;
    }
    text.remove_prefix(first.length);
  }
  return text;
}

std::string_view Normalizer::normalize(std::string_view text, ByteBuffer& buffer) const {
  if (removes_spaces_) {
    text = without_leading_spaces(text);
  }
  return text.empty() ? text : Run(*this, text, buffer).run();
}

}  // namespace penstock
