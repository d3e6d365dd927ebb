#include "ptbert/files/tf_checkpoint.h"

#include <functional>

#include "files/byte_writer.h"
#include "files/crc32c.h"
#include "files/snappy.h"
#include "files/sorted_table.h"
#include "files/tf_entry.h"
#include "ptbert/errors.h"
#include "ptbert/files/tf_weights.h"
#include "support.h"

namespace ptbert {
namespace {

using namespace std::string_literals;
namespace fs = std::filesystem;

const fs::path kSamples = golden_folder() / "tf_checkpoints";

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

void write(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string quoted(const std::string& path) { return std::string(1, '`').append(path) + '`'; }

/// A scratch folder, and in it a copy of the sample `various` (two shards, every type).
class TfCheckpointTest : public testing::Test {
protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::path(testing::TempDir()) / (std::string("ptbert_tf_") + test->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    for (const auto* ending : kEndings)
      fs::copy(kSamples / ("various"s + ending), folder_ / ("various"s + ending));
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path(const std::string& name = "various") const { return (folder_ / name).string(); }

  template <typename Error = FormatError>
  std::string message(const std::string& name = "various") const {
    return message_of<Error>([&] { load_tf_variables(path(name)); });
  }

  static constexpr const char* kEndings[] = {".index", ".data-00000-of-00002",
                                             ".data-00001-of-00002"};
  fs::path folder_;
};

/// Whether two checkpoints hold the same tensors, bit for bit.
bool same(const NamedTensors& left, const NamedTensors& right) {
  return left.size() == right.size() &&
         std::equal(
             left.begin(), left.end(), right.begin(), [](const auto& one, const auto& other) {
               return one.first == other.first && one.second.dtype() == other.second.dtype() &&
                      one.second.sizes() == other.second.sizes() &&
                      std::memcmp(one.second.data_ptr(), other.second.data_ptr(),
                                  one.second.nbytes()) == 0;
             });
}

void expect_golden(const NamedTensors& tensors, const std::string& sample) {
  static const auto golden = read_golden("tf_checkpoints.json");
  std::map<std::string, torch::Tensor> by_name(tensors.begin(), tensors.end());
  size_t numbers = 0;
  for (const auto& [name, entry] : golden.at("samples").at(sample).items()) {
    if (!entry.contains("values"))
      continue;
    ++numbers;
    ASSERT_EQ(by_name.count(name), 1) << name;
    const auto& tensor = by_name.at(name);
    EXPECT_EQ(tensor.sizes().vec(), entry.at("shape").get<std::vector<int64_t>>()) << name;
    const auto expected =
        torch::tensor(entry.at("values").get<std::vector<double>>(), torch::kDouble);
    expect_close(tensor.to(torch::kDouble).flatten(), expected, 0);
  }
  EXPECT_EQ(tensors.size(), numbers);
}

TEST_F(TfCheckpointTest, ReadsEveryTypeFromTwoShards) {
  expect_golden(load_tf_variables(path()), "various");
}

TEST_F(TfCheckpointTest, ListsWhatTorchHasNoTensorsOf) {
  const TfCheckpoint checkpoint(path());
  std::map<std::string, std::string> dtypes;
  for (const auto& variable : checkpoint.variables())
    dtypes[variable.name] = variable.dtype;
  EXPECT_EQ(dtypes.at("text"), "string");
  EXPECT_EQ(dtypes.at("complex"), "complex64");
  EXPECT_EQ(dtypes.at("bfloat16"), "bfloat16");
  EXPECT_EQ(checkpoint.prefix(), path());
}

TEST_F(TfCheckpointTest, ReadsCompressedIndex) {
  auto tensors = load_tf_variables((kSamples / "snappy").string());
  EXPECT_TRUE(same(tensors, load_tf_variables(path())));
}

TEST_F(TfCheckpointTest, WritingToATensorLeavesTheFile) {
  const auto before = read(path("various.data-00001-of-00002"));
  for (auto& [name, tensor] : load_tf_variables(path()))
    tensor.zero_();
  EXPECT_EQ(read(path("various.data-00001-of-00002")), before);
}

TEST_F(TfCheckpointTest, TakesAnyOfItsFilesOrItsFolder) {
  for (const auto* name : {"various.index", "various.data-00001-of-00002", "various.meta", ""})
    EXPECT_EQ(TfCheckpoint(path(name)).prefix(), path());
}

TEST_F(TfCheckpointTest, TakesTheNewestOfAStateFile) {
  for (const auto* ending : kEndings)
    fs::copy(path("various"s + ending), path("\xc3\xa4"s + ending));
  // A path of another machine; TensorFlow escapes what is not ASCII.
  write(path("checkpoint"), "model_checkpoint_path: \"/elsewhere/\\303\\244\"\n"
                            "all_model_checkpoint_paths: \"various\"\n");
  EXPECT_EQ(TfCheckpoint(folder_.string()).prefix(), path("\xc3\xa4"));
  EXPECT_EQ(TfCheckpoint(path("checkpoint")).prefix(), path("\xc3\xa4"));
  write(path("checkpoint"), "model_checkpoint_path: 'gone'\n");
  EXPECT_EQ(message<FileError>(""), quoted(path("checkpoint")) +
                                        " must name a checkpoint beside it, but `gone.index`, "
                                        "which it names, does not exist.");
  write(path("checkpoint"), "anything");
  EXPECT_EQ(message(""), quoted(path("checkpoint")) +
                             " must name the newest checkpoint as `model_checkpoint_path: "
                             "\"NAME\"`, but does not.");
}

TEST_F(TfCheckpointTest, RefusesFoldersWithNoneOrSeveral) {
  fs::copy(path("various.index"), path("other.index"));
  EXPECT_EQ(message(""), quoted(path("")) +
                             " must hold one TensorFlow checkpoint or a file `checkpoint` that "
                             "names the newest, but holds other, various. Pass one of them.");
  fs::create_directory(folder_ / "empty");
  EXPECT_EQ(message<FileError>("empty"),
            quoted(path("empty")) +
                " must hold a TensorFlow checkpoint, but no file in it ends in .index.");
  EXPECT_EQ(message<FileError>("none"), quoted(path("none")) +
                                            " must name a TensorFlow checkpoint, but `" +
                                            path("none") + ".index` does not exist.");
  EXPECT_TRUE(is_tf_checkpoint(path()));
  EXPECT_FALSE(is_tf_checkpoint(path("none")));
}

TEST_F(TfCheckpointTest, RefusesTheV1FormatWithTheRemedy) {
  const auto old = (kSamples / "old" / "model.ckpt").string();
  const auto text = message_of<FormatError>([&] { TfCheckpoint{old}; });
  EXPECT_TRUE(text.starts_with("`" + old +
                               "` must be in TensorFlow's V2 format, but is in the V1 format of "
                               "before 2017. Convert it once, where TensorFlow is installed: "
                               "python -c \"import tensorflow as tf; p = '" +
                               old + "'; "))
      << text;
  fs::copy(old, path("renamed.index"));
  EXPECT_EQ(message("renamed"), quoted(path("renamed") + ".index") +
                                    " must be the index of a TensorFlow checkpoint, but it "
                                    "is in the older V1 format. Copy or download it again.");
}

TEST_F(TfCheckpointTest, JoinsPartitionedVariables) {
  const auto variables = load_tf_variables((kSamples / "partitioned").string());
  std::map<std::string, torch::Tensor> tensors(variables.begin(), variables.end());
  ASSERT_EQ(tensors.size(), 5);
  expect_equal(tensors.at("rows"), torch::arange(8.F).view({4, 2}));
  expect_equal(tensors.at("columns"), torch::arange(600, torch::kShort).view({3, 200}));
  expect_equal(tensors.at("line"), (torch::arange(9000) % 251).to(torch::kByte));
  expect_equal(tensors.at("grid"), torch::arange(24.F).view({3, 4, 2}));
  expect_equal(tensors.at("whole"), torch::ones(2));
}

TEST_F(TfCheckpointTest, ChecksThePartsOfAVariable) {
  for (const auto* ending : kEndings)
    fs::copy(kSamples / ("partitioned"s + ending), path("partitioned"s + ending));
  const auto shard = path("partitioned.data-00000-of-00002");
  auto bytes = read(shard);
  bytes.back() ^= 1; // of `grid`
  write(shard, bytes);
  EXPECT_EQ(message("partitioned"),
            quoted(shard) +
                " must hold `grid` with the checksum that the index notes, but does not: it is "
                "damaged, or of another checkpoint than `" +
                path("partitioned.index") + "`. Copy or download both again.");
}

TEST(TfEntryTest, KeysOfPartsAreInOrderedCode) {
  EXPECT_EQ(tf_part_key("a", {0}, {-1}), "\0a\0\1\1\1\x80\x7f"s);
  EXPECT_EQ(tf_part_key("\0\xff"s, {}, {}), "\0\0\xff\xff\0\0\1\0"s);
  EXPECT_EQ(tf_part_key("", {63, 64, 8191, 8192}, {1, 1, 1, 1}),
            "\0\0\1\1\4\xbf\x81\xc0\x40\x81\xdf\xff\x81\xe0\x20\0\x81"s);
  EXPECT_EQ(tf_part_key("", {int64_t{1} << 40, int64_t{1} << 61}, {1, 1}),
            "\0\0\1\1\2\xfd\0\0\0\0\0\x81\xff\xa0\0\0\0\0\0\0\0\x81"s);
  EXPECT_EQ(tf_part_key("", {int64_t{1} << 62}, {1}), "\0\0\1\1\1\xff\xc0\x40\0\0\0\0\0\0\0\x81"s);
}

TEST_F(TfCheckpointTest, NamesMissingTruncatedAndForeignShards) {
  const auto shard = path("various.data-00001-of-00002");
  const auto bytes = read(shard);
  write(shard, bytes.substr(0, 20));
  EXPECT_EQ(message(), "`" + shard +
                           "` must hold `bfloat16` in 6 bytes from byte 42, as the index says, but "
                           "has 20 bytes: it is truncated, or of another checkpoint than `" +
                           path() + ".index`. Copy or download both again.");
  auto other = bytes;
  other[16] ^= 1;
  write(shard, other);
  EXPECT_EQ(message(), "`" + shard +
                           "` must hold `float64` with the checksum that the index notes, but does "
                           "not: it is damaged, or of another checkpoint than `" +
                           path() + ".index`. Copy or download both again.");
  fs::remove(shard);
  EXPECT_EQ(message<FileError>(), "`" + shard +
                                      "` must be a file that can be read, but opening it fails: No "
                                      "such file or directory.");
}

TEST_F(TfCheckpointTest, SaysWhereAnIndexIsDamaged) {
  const auto rule =
      quoted(path() + ".index") + " must be the index of a TensorFlow checkpoint, but ";
  const auto bytes = read(path("various.index"));
  write(path("various.index"), bytes.substr(0, 100));
  EXPECT_EQ(message(), rule + "it does not end as one: it is truncated or of another format. Copy "
                              "or download it again.");
  auto flipped = bytes;
  flipped[40] ^= 4;
  write(path("various.index"), flipped);
  const auto text = message();
  EXPECT_TRUE(text.starts_with(rule + "the block of ")) << text;
  EXPECT_TRUE(
      text.ends_with(" bytes at byte 0 is damaged: its checksum is not the one noted behind "
                     "it. Copy or download it again."))
      << text;
}

/// Damages one file of the copy in every way of `count`, and expects an error or the same tensors.
void expect_error_or_same(const fs::path& folder, const fs::path& file, size_t count,
                          const std::function<std::string(size_t)>& damaged, bool always_error) {
  const auto whole = read(file);
  const auto expected = load_tf_variables((folder / "various").string());
  NamedTensors kept;
  for (const auto& [name, tensor] : expected)
    kept.emplace_back(name, tensor.clone());
  size_t errors = 0;
  for (size_t i = 0; i < count; ++i) {
    write(file, damaged(i));
    try {
      EXPECT_TRUE(same(load_tf_variables((folder / "various").string()), kept)) << i;
    } catch (const FormatError& error) {
      ++errors;
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    }
  }
  write(file, whole);
  EXPECT_TRUE(!always_error || errors == count) << errors << " of " << count;
  EXPECT_GT(errors, count / 2);
}

TEST_F(TfCheckpointTest, EveryTruncationIsAnError) {
  for (const auto* ending : kEndings) {
    const auto file = folder_ / ("various"s + ending);
    const auto bytes = read(file);
    expect_error_or_same(
        folder_, file, bytes.size(), [&](size_t size) { return bytes.substr(0, size); }, true);
  }
}

TEST_F(TfCheckpointTest, EveryFlippedBitIsAnErrorOrDoesNotMatter) {
  for (const auto* ending : kEndings) {
    const auto file = folder_ / ("various"s + ending);
    const auto bytes = read(file);
    expect_error_or_same(
        folder_, file, bytes.size() * 8,
        [&](size_t bit) {
          auto flipped = bytes;
          flipped[bit / 8] ^= static_cast<char>(1 << bit % 8);
          return flipped;
        },
        false);
  }
}

/// An index of one block with these entries, checksums right.
std::string index_of(const TableEntries& entries) {
  const auto with_trailer = [](const std::string& block) {
    const auto stored = block + '\0';
    return stored + fixed(masked_crc32c(stored));
  };
  const auto item = [](const std::string& key, const std::string& value) {
    return '\0' + varint(key.size()) + varint(value.size()) + key + value;
  };
  const auto restarts = "\0\0\0\0\1\0\0\0"s;
  std::string block;
  for (const auto& [key, value] : entries)
    block += item(key, value);
  block += restarts;
  const auto blocks = item("x", '\0' + varint(block.size())) + restarts;
  auto footer = "\0\0"s + varint(block.size() + 5) + varint(blocks.size());
  footer.resize(40);
  return with_trailer(block) + with_trailer(blocks) + footer + "\x57\xfb\x80\x8b\x24\x75\x47\xdb";
}

TEST_F(TfCheckpointTest, ChecksEntriesWhoseChecksumsAreRight) {
  const auto message_of_index = [&](const std::string& header, const std::string& entry) {
    write(path("various.index"), index_of({{"", header}, {"w", entry}}));
    auto text = message();
    const auto rule =
        quoted(path() + ".index") + " must be the index of a TensorFlow checkpoint, but ";
    EXPECT_TRUE(text.starts_with(rule)) << text;
    return text.substr(std::min(rule.size(), text.size()));
  };
  const auto header = "\x08\x02"s;
  const auto again = ". Copy or download it again."s;
  const auto entry = "the entry of `w` is damaged: "s;
  EXPECT_EQ(message_of_index("\x08\x02\x10\x01", ""),
            "it was written on a big-endian machine" + again);
  EXPECT_EQ(message_of_index(header, "\x08\x01\x12\x04\x12\x02\x08\x03\x28\x08"),
            entry + "its shape needs 12 bytes, but it has 8" + again);
  EXPECT_EQ(message_of_index(header, "\x08\x01\x12\x04\x18\x01"),
            entry + "it ends too early" + again);
  EXPECT_EQ(message_of_index(header, "\x08\x01\x12\x02\x18\x01"),
            entry + "its shape is unknown" + again);
  EXPECT_EQ(message_of_index(
                header, "\x08\x01\x12\x0d\x12\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
            entry + "its shape has an extent of -1" + again);
  EXPECT_EQ(message_of_index(header, "\x08\x01\x12\x16\x12\x09\x08\xff\xff\xff\xff\xff\xff\xff\x7f"
                                     "\x12\x09\x08\xff\xff\xff\xff\xff\xff\xff\x7f"),
            entry + "its shape needs more than 2^64 bytes" + again);
  EXPECT_EQ(message_of_index(header, "\x08\x01\x18\x02\x28\x04"),
            entry + "it is in shard 2 of 2" + again);
  EXPECT_EQ(message_of_index(header, "\x0b"),
            entry + "it has a field of the unknown kind 3" + again);
  EXPECT_EQ(message_of_index(header, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
            entry + "it has a number of more than 64 bits" + again);
}

TEST_F(TfCheckpointTest, ChecksThatPartsMakeUpAVariable) {
  const auto begins_with_number = [](char length) { return "\x08\1\x12\4\x12\2\x08"s + length; };
  const auto entry_of_part = [&](char length) {
    return begins_with_number(length) + '\x28' + static_cast<char>(4 * length);
  };
  using Slices = std::vector<std::pair<char, char>>; // start, length
  const auto message_of_parts = [&](char length, const Slices& slices, const TableEntries& parts) {
    auto whole = begins_with_number(length);
    for (const auto& [start, size] : slices)
      whole += "\x3a\6\x0a\4\x08"s + start + '\x10' + size;
    TableEntries entries = {{"", "\x08\2"}};
    entries.insert(entries.end(), parts.begin(), parts.end());
    entries.emplace_back("w", whole);
    write(path("various.index"), index_of(entries));
    const auto text = message();
    const auto rule =
        quoted(path() + ".index") + " must be the index of a TensorFlow checkpoint, but ";
    const auto again = ". Copy or download it again."s;
    EXPECT_TRUE(text.starts_with(rule) && text.ends_with(again)) << text;
    return text.substr(rule.size(), text.size() - rule.size() - again.size());
  };
  const auto part = [&](char start, char length, char length_of_entry) {
    return std::pair(tf_part_key("w", {start}, {length}), entry_of_part(length_of_entry));
  };
  const auto entry = "the entry of `w` is damaged: it has "s;
  EXPECT_EQ(message_of_parts(4, {{2, 3}}, {}), entry + "a part of 3 from 2 on in a dimension of 4");
  EXPECT_EQ(message_of_parts(4, {{0, 2}}, {}), entry + "a part that the index has no entry for");
  EXPECT_EQ(message_of_parts(4, {{0, 2}}, {part(0, 2, 3)}),
            entry + "a part of another type or shape than its entry");
  EXPECT_EQ(message_of_parts(4, {{0, 2}, {1, 3}}, {part(0, 2, 2), part(1, 3, 3)}),
            entry + "parts that overlap");
  EXPECT_EQ(message_of_parts(4, {{0, 2}}, {part(0, 2, 2)}),
            "the entry of `w` is damaged: its parts have 2 elements together, but it has 4");
  EXPECT_EQ(message_of_parts(40, {{0, 20}, {20, 20}}, {part(0, 20, 20), part(20, 20, 20)}),
            "the parts of `w` have 160 bytes, and all files 90");
  write(path("various.index"),
        index_of({{"", "\x08\2"}, {"w", begins_with_number(4) + "\x3a\4\x0a\0\x0a\0"s}}));
  EXPECT_NE(message().find(entry + "a part of 2 dimensions"), std::string::npos);
}

TEST_F(TfCheckpointTest, ReadsWhatItWrites) {
  TfCheckpointWriter writer(path("written"));
  for (int i = 0; i < 300; ++i) // several blocks
    writer.add("scope/layer_" + std::to_string(i), "float32", {2, 1}, std::string(8, 'a' + i % 26));
  writer.add("scalar", "bfloat16", {}, "ab");
  writer.add("empty", "int64", {0, 3}, "");
  writer.finish();
  const TfCheckpoint checkpoint(path("written"));
  ASSERT_EQ(checkpoint.variables().size(), 302);
  for (const auto& variable : checkpoint.variables()) {
    const auto& name = variable.name;
    const std::string bytes(checkpoint.data(variable), variable.bytes.size);
    if (name.starts_with("scope"))
      EXPECT_EQ(bytes, std::string(8, 'a' + std::stoi(name.substr(name.rfind('_') + 1)) % 26));
    else
      EXPECT_EQ(bytes, name == "scalar" ? "ab" : "");
  }
}

TEST_F(TfCheckpointTest, RefusesToWriteNonsense) {
  TfCheckpointWriter writer(path("written"));
  writer.add("w", "float32", {}, "abcd");
  EXPECT_EQ(message_of<FormatError>([&] { writer.add("w", "float32", {}, "abcd"); }),
            "`w` must be added once, but is there already.");
  EXPECT_EQ(message_of<FormatError>([&] { writer.add("v", "float8", {}, "a"); }),
            "`dtype` must be one that TensorFlow has, but is float8.");
  EXPECT_TRUE(
      message_of<FileError>([&] { TfCheckpointWriter(path("none/written")); })
          .ends_with("/none/written.data-00000-of-00001` must be a file that can be written, "
                     "but writing it fails: No such file or directory."));
}

TEST(Crc32cTest, GivesTheChecksumsOfRfc3720) {
  std::string rising(32, '\0');
  for (size_t i = 0; i < rising.size(); ++i)
    rising[i] = static_cast<char>(i);
  for (auto* checksum : {crc32c, crc32c_by_tables}) {
    EXPECT_EQ(checksum(std::string(32, '\0')), 0x8A9136AA);
    EXPECT_EQ(checksum(std::string(32, '\xff')), 0x62A8AB43);
    EXPECT_EQ(checksum(rising), 0x46DD794E);
    EXPECT_EQ(checksum("123456789"), 0xE3069283);
    EXPECT_EQ(checksum(""), 0);
  }
}

TEST(SnappyTest, JoinsLiteralsAndCopies) {
  EXPECT_EQ(uncompress_snappy("\0"s), "");
  EXPECT_EQ(uncompress_snappy("\x06\x04"s + "ab\x01\x02"s), "ababab"); // goes on into the copy
  EXPECT_EQ(uncompress_snappy("\x06\x04"s + "ab\x0e\x02\0"s), "ababab");
  EXPECT_EQ(uncompress_snappy("\x06\x04"s + "ab\x0f\x02\0\0\0"s), "ababab");
  const std::string text(100, 'x');
  EXPECT_EQ(uncompress_snappy("\x64\xf0\x63"s + text), text); // a length of its own
}

TEST(SnappyTest, RefusesDamage) {
  const auto message = [](const std::string& bytes) {
    return message_of<FormatError>([&] { uncompress_snappy(bytes); });
  };
  EXPECT_EQ(message("\xff\xff\xff\xff\x0f"s),
            "it is too short for the 4294967295 bytes that it should have");
  EXPECT_EQ(message("\x06\x04"s + "a"), "it ends too early");
  EXPECT_EQ(message("\x06\x04"s + "ab\x01\x03"s), "it copies bytes that are not there");
  EXPECT_EQ(message("\x06\x04"s + "ab\x01\0"s), "it copies bytes that are not there");
  EXPECT_EQ(message("\x05\x04"s + "ab\x01\x02"s), "it copies bytes that are not there");
  EXPECT_EQ(message("\x03\x04"s + "ab"), "it does not have the 3 bytes that it should");
  EXPECT_EQ(message("\x01\x04"s + "ab"), "it does not have the 1 bytes that it should");
}

} // namespace
} // namespace ptbert
