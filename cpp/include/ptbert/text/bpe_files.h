#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "ptbert/text/bpe.h"
#include "ptbert/text/vocabulary.h"

// The files of GPT and GPT-2: vocab.json, one flat object of tokens and ids; merges.txt, a first
// line that is ignored, then two symbols a line in the order of their ranks; special_tokens.txt,
// one token a line.

namespace ptbert {

inline constexpr const char* kBpeVocabularyName = "vocab.json";
inline constexpr const char* kMergesName = "merges.txt";
inline constexpr const char* kSpecialTokensName = "special_tokens.txt";

/// Returns the content of a file; FileError, which calls it `name`, where it cannot be read.
std::string read_text_file(const std::filesystem::path& file, const std::string& name);

/// Returns the tokens and ids of a JSON object in the order of the text. FormatError, which names
/// `file`, for anything but one object of strings and integers in UTF-8.
std::vector<Vocabulary::Entry> parse_vocab_json(std::string_view json, const std::string& file);

/// Returns the merges of a text, views into it. The first line and what follows the last newline
/// are ignored, as in 2019. A line counts as a rank but has no effect unless it holds two words.
/// FormatError, which names `file`, where the text is not UTF-8.
std::vector<Bpe::Merge> parse_merges(std::string_view text, const std::string& file);

/// Reads vocab.json and merges.txt; FileError where one cannot be read, FormatError as above.
Bpe read_bpe(const std::filesystem::path& vocab_file, const std::filesystem::path& merges_file);

/// Writes a tokenizer's files to a directory; FileError where one cannot be written.
void write_bpe_files(const std::filesystem::path& directory, const Bpe& bpe,
                     const std::vector<std::string>& special_tokens);

} // namespace ptbert
