#include "tf_paths.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <vector>

#include "cannot_open.h"
#include "mapped_file.h"
#include "ptbert/errors.h"
#include "sorted_table.h"

namespace ptbert {
namespace fs = std::filesystem;
namespace {

constexpr auto* kStateFile = "checkpoint"; // written by TensorFlow's Saver beside what it saves
constexpr auto* kNewestKey = "model_checkpoint_path:";

bool has_index(const fs::path& prefix) { return fs::is_regular_file(prefix.string() + ".index"); }

bool is_v1(const fs::path& path) {
  return fs::is_regular_file(path) && is_sorted_table(MappedFile(path.string()).bytes());
}

/// The text of a quoted string in the text format of protocol buffers, from behind its first quote.
std::string unquoted(const std::string& text, char quote) {
  static const std::string letters = "ntr", meanings = "\n\t\r";
  const auto is_octal = [](char c) { return c >= '0' && c <= '7'; };
  std::string result;
  for (size_t i = 0; i < text.size() && text[i] != quote; ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      result += text[i];
    } else if (is_octal(text[++i])) { // up to three digits: a byte that is not ASCII
      int byte = text[i] - '0';
      for (int digits = 1; digits < 3 && i + 1 < text.size() && is_octal(text[i + 1]); ++digits)
        byte = byte * 8 + (text[++i] - '0');
      result += static_cast<char>(byte);
    } else {
      const auto letter = letters.find(text[i]);
      result += letter == std::string::npos ? text[i] : meanings[letter];
    }
  }
  return result;
}

/// The prefix that a file `checkpoint` calls the newest. A path in it may be the one of another
/// machine: its last part, beside the file, comes first.
fs::path newest_of(const fs::path& state_file) {
  std::ifstream file(state_file);
  if (!file)
    throw cannot_open(state_file.string());
  std::string line;
  while (std::getline(file, line)) {
    const auto start = line.find_first_not_of(" \t");
    const auto quote = line.find_first_of("\"'");
    if (start == std::string::npos ||
        line.compare(start, std::string(kNewestKey).size(), kNewestKey) != 0 ||
        quote == std::string::npos)
      continue;
    const fs::path named = unquoted(line.substr(quote + 1), line[quote]);
    const auto beside = state_file.parent_path() / named.filename();
    const auto there = state_file.parent_path() / named; // `named` itself if that is absolute
    for (const auto& prefix : {beside, there}) {
      if (has_index(prefix) || is_v1(prefix))
        return prefix;
    }
    throw FileError("`" + state_file.string() + "` must name a checkpoint beside it, but `" +
                    named.string() + ".index`, which it names, does not exist.");
  }
  throw FormatError("`" + state_file.string() + "` must name the newest checkpoint as `" +
                    kNewestKey + " \"NAME\"`, but does not.");
}

/// The prefixes of the checkpoints in a folder, sorted.
std::vector<fs::path> prefixes_in(const fs::path& folder) {
  std::vector<fs::path> prefixes;
  for (const auto& entry : fs::directory_iterator(folder)) {
    auto path = entry.path();
    if (path.extension() == ".index" && entry.is_regular_file())
      prefixes.push_back(path.replace_extension());
  }
  std::sort(prefixes.begin(), prefixes.end());
  return prefixes;
}

fs::path prefix_in(const fs::path& folder) {
  if (fs::is_regular_file(folder / kStateFile))
    return newest_of(folder / kStateFile);
  const auto prefixes = prefixes_in(folder);
  if (prefixes.empty())
    throw FileError("`" + folder.string() +
                    "` must hold a TensorFlow checkpoint, but no file in it ends in .index.");
  if (prefixes.size() > 1) {
    std::ostringstream names;
    for (const auto& prefix : prefixes)
      names << (names.tellp() > 0 ? ", " : "") << prefix.filename().string();
    throw FormatError("`" + folder.string() +
                      "` must hold one TensorFlow checkpoint or a file `checkpoint` that names the "
                      "newest, but holds " +
                      names.str() + ". Pass one of them.");
  }
  return prefixes.front();
}

} // namespace

FormatError v1_error(const std::string& path) {
  return FormatError(
      "`" + path +
      "` must be in TensorFlow's V2 format, but is in the V1 format of before 2017. Convert it "
      "once, where TensorFlow is installed: python -c \"import tensorflow as tf; p = '" +
      path +
      "'; r = tf.train.load_checkpoint(p); n = sorted(r.get_variable_to_shape_map()); "
      "tf.raw_ops.SaveV2(prefix=p + '.v2', tensor_names=n, shape_and_slices=[''] * len(n), "
      "tensors=[r.get_tensor(i) for i in n])\"");
}

std::string find_tf_prefix(const std::string& path) {
  static const std::regex part(R"(\.(index|meta|data-\d{5}-of-\d{5})$)");
  fs::path prefix = path;
  if (fs::is_directory(path))
    prefix = prefix_in(path);
  else if (prefix.filename() == kStateFile && fs::is_regular_file(path) && !is_v1(path))
    prefix = newest_of(path);
  else if (!has_index(path))
    prefix = std::regex_replace(path, part, "");
  if (has_index(prefix))
    return prefix.string();
  if (is_v1(prefix))
    throw v1_error(prefix.string());
  throw FileError("`" + path + "` must name a TensorFlow checkpoint, but `" + prefix.string() +
                  ".index` does not exist.");
}

} // namespace ptbert
