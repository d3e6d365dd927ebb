#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ptbert/text/basic_tokenizer.h"
#include "ptbert/text/bpe_tokenizer.h"

namespace ptbert {

/// The clean-up that GPT applies before spaCy: replaces dashes, ellipses and acute accents by
/// ASCII, puts spaces around runs of one of -~!";?+,)(\/*[]}{|_ and folds white space to " ", or to
/// " \n " if it contains a newline. `text` must be well-formed UTF-8.
std::string standardize_text(std::string_view text);

/// GPT's tokenizer, from text to ids and back: BERT's lower-casing basic tokenizer, which does not
/// split special tokens; then byte-pair encoding of each word's characters, the last one with
/// "</w>" appended.
class OpenAIGPTTokenizer : public BpeTokenizer {
public:
  /// Files and errors as for GPT2Tokenizer.
  OpenAIGPTTokenizer(const std::filesystem::path& vocab_file,
                     const std::filesystem::path& merges_file,
                     const std::vector<std::string>& special_tokens = {},
                     std::optional<std::int64_t> max_len = std::nullopt);
  explicit OpenAIGPTTokenizer(Bpe bpe, std::optional<std::int64_t> max_len = std::nullopt);

  /// Also replaces the basic tokenizer by one that does not split these tokens.
  void set_special_tokens(const std::vector<std::string>& tokens) override;

  /// The symbols of words from another word tokenizer (spaCy). As in the 2019 library symbols are
  /// joined by spaces and split again, which loses a space inside a word. Words must be well-formed
  /// UTF-8; empty ones are skipped.
  Symbols encode_words(const std::vector<std::string>& words) const;
  /// Replaces the basic tokenizer. Not thread-safe.
  void set_basic_tokenizer(BasicTokenizer basic_tokenizer);

  /// Replaces every "</w>" by a space and strips white space at the ends.
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
