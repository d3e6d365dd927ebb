#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ptbert/text/bpe_tokenizer.h"

namespace ptbert {

/// What split_gpt2_words does, as a regular expression.
inline constexpr const char* kGpt2Pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?)"
                                            R"([^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// Returns the words of well-formed UTF-8 text, views into it that cover it: an English
/// contraction; a run of letters, of numbers or of anything else, with one space before it; or
/// white space but for the character before a word.
std::vector<std::string_view> split_gpt2_words(std::string_view text);

/// Returns the code point that stands for a byte in GPT-2's files: itself where it is a visible
/// character of Latin-1, U+0100 and what follows for all others.
char32_t gpt2_byte_character(unsigned char byte);

/// GPT-2's tokenizer, from text to ids and back: split_gpt2_words, then each word's UTF-8 bytes
/// written in the alphabet of gpt2_byte_character, then byte-pair encoding.
class GPT2Tokenizer : public BpeTokenizer {
public:
  /// Reads vocab.json and merges.txt (bpe_files.h). FileError where one cannot be read, FormatError
  /// where its content breaks the format. `max_len` is the model's limit, for callers that cut
  /// their input.
  GPT2Tokenizer(const std::filesystem::path& vocab_file, const std::filesystem::path& merges_file,
                const std::vector<std::string>& special_tokens = {},
                std::optional<std::int64_t> max_len = std::nullopt);
  /// The same from what such files hold.
  explicit GPT2Tokenizer(Bpe bpe, std::optional<std::int64_t> max_len = std::nullopt);

  /// The bytes that characters of the byte alphabet stand for; others stay as they are.
  std::string bytes_of(std::string_view joined) const override;
  /// The words of well-formed text in the byte alphabet.
  std::vector<std::string> words_of(std::string_view text) const;

protected:
  void append_symbols(std::string_view text, detail::BpeWorkspace& workspace,
                      Symbols& symbols) const override;
  void append_offsets(std::string_view text, detail::BpeWorkspace& workspace,
                      std::vector<Offset>& offsets) const override;
  void append_pieces(std::string_view word, std::vector<Bpe::Piece>& pieces) const override;
  std::string unknown_text(std::string_view piece, bool ends_word) const override;

private:
  std::array<Bpe::Symbol, 256> symbols_of_bytes_;
};

} // namespace ptbert
