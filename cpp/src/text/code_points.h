#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace ptbert::detail {

/// How basic tokenization handles a code point.
enum class CodePointRole : std::uint8_t {
  kDropped,     // removed: a control character, or an accent that is stripped
  kSpace,       // ends a word
  kKept,        // part of a word
  kPunctuation, // a token of its own
  kChinese,     // a word of its own
  kInContext,   // depends on its neighbours: capital sigma, and combining marks to reorder
};

/// The result of basic tokenization for one code point: its role, and its normalised UTF-8 bytes.
struct alignas(16) CodePoint {
  static constexpr std::size_t kMaxBytes = 12;
  char bytes[kMaxBytes];
  std::uint8_t length;
  CodePointRole role;
};

/// A row for each code point, computed by the named steps of basic_tokenizer.h. A block of rows is
/// computed when a code point in it is first seen, so that importing the library costs nothing.
class CodePointTable {
public:
  static CodePointTable& of(bool do_lower_case);

  /// `code` must be at most U+10FFFF. Thread-safe.
  const CodePoint& operator[](char32_t code) {
    const Block* block = blocks_[code / kBlockSize].load(std::memory_order_acquire);
    return (block != nullptr ? *block : make_block(code / kBlockSize))[code % kBlockSize];
  }

  /// The normalised byte of each ASCII character that is kept, zero for every other byte.
  const std::array<char, 256>& kept_ascii() const { return kept_ascii_; }

private:
  static constexpr std::size_t kBlockSize = 256;
  using Block = std::array<CodePoint, kBlockSize>;

  explicit CodePointTable(bool do_lower_case);
  const Block& make_block(std::size_t number);

  bool do_lower_case_;
  std::array<char, 256> kept_ascii_{};
  std::array<std::atomic<const Block*>, 0x110000 / kBlockSize> blocks_{};
};

} // namespace ptbert::detail
