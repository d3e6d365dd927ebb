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

/// The regular expression that split_gpt2_words() implements.
inline constexpr const char* kGpt2Pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?)"
                                            R"([^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// Splits well-formed UTF-8 text into words, views that together cover it. A word is an English
/// contraction; or a run of letters, of numbers or of other characters, with one space before it;
/// or white space without the last character if a word follows.
std::vector<std::string_view> split_gpt2_words(std::string_view text);

/// Returns the code point that represents a byte in GPT-2's files (its byte alphabet): the byte
/// itself if it is a visible Latin-1 character, else the next of U+0100, U+0101, ...
char32_t gpt2_byte_character(unsigned char byte);

/// GPT-2's tokenizer, from text to ids and back: split_gpt2_words(), then byte-pair encoding of
/// each word's UTF-8 bytes, written in the byte alphabet of gpt2_byte_character().
class GPT2Tokenizer : public BpeTokenizer {
public:
  /// Reads vocab.json and merges.txt (bpe_files.h). Throws FileError if one cannot be read,
  /// FormatError if its content is invalid. `max_len` is the model's limit, for callers that
  /// truncate; the tokenizer itself does not.
  GPT2Tokenizer(const std::filesystem::path& vocab_file, const std::filesystem::path& merges_file,
                const std::vector<std::string>& special_tokens = {},
                std::optional<std::int64_t> max_len = std::nullopt);
  /// The same from the content of such files.
  explicit GPT2Tokenizer(Bpe bpe, std::optional<std::int64_t> max_len = std::nullopt);

  /// Maps characters of the byte alphabet back to bytes; other characters are kept.
  std::string bytes_of(std::string_view joined) const override;
  /// The words of well-formed text, written in the byte alphabet.
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
