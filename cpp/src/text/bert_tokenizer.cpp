#include "ptbert/text/bert_tokenizer.h"

#include <utility>

#include "mapped.h"

namespace ptbert {

std::vector<std::string> tokenize(const BasicTokenizer& basic, const WordpieceTokenizer& wordpiece,
                                  std::string_view text) {
  std::vector<std::string> pieces;
  for (const std::string& token : basic.tokenize_by_steps(text)) {
    wordpiece.append_pieces(token, pieces);
  }
  return pieces;
}

BertTokenizer::BertTokenizer(const std::filesystem::path& vocab_file, bool do_lower_case,
                             std::optional<std::int64_t> max_len, bool do_basic_tokenize,
                             const std::vector<std::string>& never_split)
    : vocab_(std::make_shared<const Vocabulary>(Vocabulary::load(vocab_file))), max_len_(max_len),
      encoder_(do_basic_tokenize ? std::optional(BasicTokenizer(do_lower_case, never_split))
                                 : std::nullopt,
               WordpieceTokenizer(vocab_)) {}

std::vector<std::string> BertTokenizer::tokenize(std::string_view text) const {
  return detail::mapped(encoder_.find_pieces(text),
                        [&](Piece piece) { return encoder_.token(piece); });
}

std::vector<std::int64_t>
BertTokenizer::convert_tokens_to_ids(const std::vector<std::string>& tokens) const {
  return detail::mapped(tokens, [&](const std::string& token) { return vocab_->id(token); });
}

std::vector<std::string>
BertTokenizer::convert_ids_to_tokens(const std::vector<std::int64_t>& ids) const {
  return detail::mapped(ids, [&](std::int64_t id) { return vocab_->token(id); });
}

std::filesystem::path
BertTokenizer::save_vocabulary(const std::filesystem::path& vocab_path) const {
  const std::filesystem::path file =
      std::filesystem::is_directory(vocab_path) ? vocab_path / kVocabularyName : vocab_path;
  vocab_->save(file);
  return file;
}

} // namespace ptbert
