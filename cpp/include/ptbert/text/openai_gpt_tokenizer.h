#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ptbert/text/basic_tokenizer.h"
#include "ptbert/text/bpe_tokenizer.h"

namespace ptbert {

/// Replaces dashes, ellipses and acute accents by ASCII, puts spaces around runs of one of
/// -~!";?+,)(\/*[]}{|_ and folds white space, to " \n " where it has a newline: what GPT does to
/// text before spaCy. `text` must be well-formed UTF-8.
std::string standardize_text(std::string_view text);

/// GPT's tokenizer, from text to ids and back: BERT's basic tokenizer, lower-casing, which leaves
/// special tokens whole; then byte-pair encoding of each word's characters, of which the last one
/// ends in "</w>".
class OpenAIGPTTokenizer : public BpeTokenizer {
public:
  /// As for GPT2Tokenizer.
  OpenAIGPTTokenizer(const std::filesystem::path& vocab_file,
                     const std::filesystem::path& merges_file,
                     const std::vector<std::string>& special_tokens = {},
                     std::optional<std::int64_t> max_len = std::nullopt);
  explicit OpenAIGPTTokenizer(Bpe bpe, std::optional<std::int64_t> max_len = std::nullopt);

  /// Also gives the tokenizer a new tokenizer of words, which leaves these tokens whole.
  void set_special_tokens(const std::vector<std::string>& tokens) override;

  /// The symbols of words that another tokenizer made, as the original writes them: joined by
  /// spaces and split again, which loses a space inside a word. Words must be well-formed UTF-8;
  /// empty ones are skipped.
  Symbols encode_words(const std::vector<std::string>& words) const;
  /// Replaces the tokenizer of words, which no other thread may use meanwhile.
  void set_basic_tokenizer(BasicTokenizer basic_tokenizer);

  /// Every "</w>" as a space, without white space around the whole.
  std::string bytes_of(std::string_view joined) const override;

protected:
  void append_symbols(std::string_view text, detail::BpeWorkspace& workspace,
                      Symbols& symbols) const override;
  void append_offsets(std::string_view text, detail::BpeWorkspace& workspace,
                      std::vector<Offset>& offsets) const override;
  void append_pieces(std::string_view word, std::vector<Bpe::Piece>& pieces) const override;
  std::string unknown_text(std::string_view piece, bool ends_word) const override;

private:
  void append_spaced_word(const std::string& word, Symbols& symbols) const;

  BasicTokenizer basic_tokenizer_;
};

} // namespace ptbert
