#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ptbert {

namespace detail {
class NeverSplit;
}

/// The special tokens of BERT's vocabularies: the default for tokens that are never split.
inline const std::vector<std::string> kBertSpecialTokens = {"[UNK]", "[SEP]", "[PAD]", "[CLS]",
                                                            "[MASK]"};

/// Returns the white-space separated words of a UTF-8 text, as Python's str.split does.
std::vector<std::string> whitespace_tokenize(std::string_view text);

/// Drops U+0000, U+FFFD and control characters; turns white space into plain spaces.
std::u32string clean_text(std::u32string_view text);
/// Puts a space on both sides of every CJK ideograph.
std::u32string tokenize_chinese_chars(std::u32string_view text);
/// Drops the nonspacing marks (category Mn) of the decomposed text.
std::u32string strip_accents(std::u32string_view text);
/// Splits a word into punctuation characters and the runs between them, as views into `word`.
std::vector<std::u32string_view> split_on_punctuation(std::u32string_view word);

/// Splits text into words and punctuation. Steps: clean_text, tokenize_chinese_chars,
/// split_whitespace; then for each word to_lower and strip_accents (if lower-casing) and
/// split_on_punctuation.
class BasicTokenizer {
public:
  /// Words equal to an entry of `never_split` are not changed.
  explicit BasicTokenizer(bool do_lower_case = true,
                          const std::vector<std::string>& never_split = kBertSpecialTokens);

  /// Takes and returns UTF-8; throws std::invalid_argument for anything else.
  std::vector<std::string> tokenize(std::string_view text) const;
  /// Slow reference that runs the named steps in turn; tests compare the fast pass with it.
  std::vector<std::string> tokenize_by_steps(std::string_view text) const;

  bool do_lower_case() const { return do_lower_case_; }
  const detail::NeverSplit& never_split() const { return *never_split_; }

private:
  bool do_lower_case_;
  std::shared_ptr<const detail::NeverSplit> never_split_;
};

} // namespace ptbert
