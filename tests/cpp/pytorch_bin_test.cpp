#include <caffe2/serialize/inline_container.h>

#include <limits>
#include <map>
#include <vector>

#include "ptbert/errors.h"
#include "ptbert/files/checkpoint.h"
#include "support.h"

namespace ptbert {
namespace {

using namespace std::string_literals;
using Bytes = std::string;

const std::filesystem::path kFolder = golden_folder() / "checkpoints";

Bytes read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(file), {});
}

/// A pickled number.
Bytes number(int64_t value) {
  return "\x8a\x08" + Bytes(reinterpret_cast<const char*>(&value), sizeof value);
}

Bytes numbers(const std::vector<int64_t>& values) {
  Bytes program = "(";
  for (const auto value : values)
    program += number(value);
  return program + "t";
}

/// The pickle of a dictionary with one tensor on the storage "0".
Bytes one_tensor(int64_t offset, const std::vector<int64_t>& sizes,
                 const std::vector<int64_t>& strides) {
  return "\x80\2}X\6\0\0\0weightctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\n"
         "FloatStorage\nX\1\0\0\0000X\3\0\0\0cpuK\x0ctQ"s +
         number(offset) + numbers(sizes) + numbers(strides) + "\x89}tRs.";
}

class PytorchBinTest : public testing::Test {
protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    path_ = testing::TempDir() + "ptbert_" + test->name() + ".bin";
  }
  void TearDown() override { std::filesystem::remove(path_); }

  /// The error message for a file of these bytes.
  std::string message(const Bytes& bytes) const {
    std::ofstream(path_, std::ios::binary) << bytes;
    return message_of<FormatError>([this] { load_pytorch_bin(path_); });
  }

  /// The error message for an archive of this pickle and twelve numbers as storage "0".
  std::string message_of_program(const Bytes& program) const {
    caffe2::serialize::PyTorchStreamWriter archive(path_);
    const std::vector<float> numbers(12);
    archive.writeRecord("data.pkl", program.data(), program.size());
    archive.writeRecord("data/0", numbers.data(), numbers.size() * sizeof(float));
    archive.writeEndOfFile();
    return message_of<FormatError>([this] { load_pytorch_bin(path_); });
  }

  std::string rule() const {
    return "`" + path_ + "` must hold a dictionary of tensors saved by torch.save, but ";
  }

  std::string path_;
};

TEST_F(PytorchBinTest, ReadsEveryKindOfTensor) {
  const auto tensors = load_pytorch_bin((kFolder / "various.bin").string());
  const auto golden = read_golden("checkpoints.json");
  const auto& expected = golden.at("various");
  ASSERT_EQ(tensors.size(), expected.size());
  size_t i = 0;
  for (const auto& [name, entry] : expected.items()) {
    const auto& [actual_name, tensor] = tensors[i++];
    EXPECT_EQ(actual_name, name); // the order of the file
    EXPECT_EQ(c10::getDtypeNames(tensor.scalar_type()).first, entry["dtype"]) << name;
    const auto values = torch::tensor(entry["values"].get<std::vector<double>>(), torch::kDouble);
    expect_close(tensor.to(torch::kDouble), values.view(entry["shape"].get<std::vector<int64_t>>()),
                 0);
  }
}

TEST_F(PytorchBinTest, TiedTensorsShareTheirMemory) {
  std::map<std::string, torch::Tensor> tensors;
  for (const auto& [name, tensor] : load_pytorch_bin((kFolder / "various.bin").string()))
    tensors[name] = tensor;
  const auto& embeddings = tensors.at("embeddings.weight");
  EXPECT_EQ(tensors.at("decoder.weight").data_ptr(), embeddings.data_ptr());
  EXPECT_EQ(tensors.at("rows").data_ptr(), embeddings[1].data_ptr());
}

TEST_F(PytorchBinTest, LegacyFormatIsRefusedWithTheRemedy) {
  const auto path = (kFolder / "legacy.bin").string();
  EXPECT_EQ(message_of<FormatError>([&path] { load_pytorch_bin(path); }),
            "`" + path +
                "` must be in the zip format of torch.save, but is in the format of torch before "
                "1.6. Convert it once: python -c \"import torch; f = '" +
                path + "'; torch.save(torch.load(f, map_location='cpu', weights_only=True), f)\"");
}

TEST_F(PytorchBinTest, MissingFile) {
  EXPECT_EQ(message_of<FileError>([this] { load_pytorch_bin(path_); }),
            "`" + path_ +
                "` must be a file that can be read, but opening it fails: No such file or "
                "directory.");
}

TEST_F(PytorchBinTest, FileOfAnotherFormat) {
  const auto expected = rule() + "is truncated or of another format. Download or save it again.";
  EXPECT_EQ(message(""), expected);
  EXPECT_EQ(message("version https://git-lfs.github.com/spec/v1\n"), expected);
}

TEST_F(PytorchBinTest, EveryTruncationIsRefused) {
  const auto bytes = read(kFolder / "various.bin");
  for (size_t size = 0; size < bytes.size(); size += size < 200 ? 1 : 97) {
    const auto text = message(bytes.substr(0, size));
    EXPECT_EQ(text.rfind(rule() + "is truncated or ", 0), 0U) << size << ": " << text;
  }
}

TEST_F(PytorchBinTest, NoDamagedByteDoesHarm) {
  const auto bytes = read(kFolder / "various.bin");
  constexpr char kDamages[] = {'\xff', '\x01', '\x80'};
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != 0) { // most zeros are padding
      auto damaged = bytes;
      damaged[i] = static_cast<char>(damaged[i] ^ kDamages[i % 3]);
      std::ofstream(path_, std::ios::binary) << damaged;
      try {
        for (const auto& [name, tensor] : load_pytorch_bin(path_)) {
          if (tensor.scalar_type() != torch::kBool) // whose other bytes mean nothing
            tensor.sum();
        }
      } catch (const FormatError&) {
      }
    }
  }
}

TEST_F(PytorchBinTest, NoOtherPythonObjectIsRead) {
  EXPECT_EQ(message_of_program("cos\nsystem\nX\4\0\0\0true\x85R."s),
            rule() + "contains the Python object `os.system`, which is not read.");
}

TEST_F(PytorchBinTest, TensorsStayWithinTheirBytes) {
  EXPECT_EQ(message_of_program(one_tensor(0, {4, 3}, {3, 1})), "nothing was thrown");
  EXPECT_EQ(message_of_program(one_tensor(11, {9, 9}, {0, 0})), "nothing was thrown");
  EXPECT_EQ(message_of_program(one_tensor(12, {0}, {1})), "nothing was thrown");
  const auto expected = rule() + "one of its tensors lies outside of the bytes that belong to it.";
  constexpr auto kHuge = std::numeric_limits<int64_t>::max();
  for (const auto& program : {
           one_tensor(1, {4, 3}, {3, 1}),
           one_tensor(0, {5, 3}, {3, 1}),
           one_tensor(0, {4, 3}, {4, 1}),
           one_tensor(12, {}, {}),
           one_tensor(13, {0}, {1}),
           one_tensor(-1, {2}, {1}),
           one_tensor(0, {-1}, {1}),
           one_tensor(0, {2}, {-1}),
           one_tensor(0, {2, 2}, {1}),
           one_tensor(kHuge, {2}, {1}),
           one_tensor(0, {3}, {kHuge}),
           one_tensor(0, {kHuge, 3}, {0, 0}),
       }) {
    EXPECT_EQ(message_of_program(program), expected);
  }
}

TEST_F(PytorchBinTest, DamagedProgramsAreRefused) {
  const std::pair<Bytes, std::string> cases[] = {
      {"", "its pickle ends too early"},
      {"\x80\2X\xff\xff\xff\xff", "its pickle ends too early"},
      {"cos", "its pickle ends too early"},
      {".", "its pickle takes a value that is not there"},
      {"\x86.", "its pickle takes a value that is not there"},
      {"t.", "its pickle takes a value that is not there"},
      {"h\1.", "its pickle takes a value that is not there"},
      {"}s.", "its pickle takes a value that is not there"},
      {"NNNs.", "its pickle has another value where a dictionary belongs"},
      {"N)R.", "its pickle has another value where a function belongs"},
      {"\x8a\x09.........", "its pickle has a number of 9 bytes"},
      {"0.", "its pickle has the instruction 48, which plain data and tensors do not need"},
      {"}X\1\0\0\0a(tQs."s, "its pickle names no storage"},
      {"ccollections\nOrderedDict\n(NtR.", "its pickle fills an OrderedDict in an unknown way"},
      {"ctorch._utils\n_rebuild_parameter\n)R.", "its pickle makes a parameter of nothing"},
      {"ctorch._utils\n_rebuild_tensor_v2\n)R.", "its pickle makes a tensor of too few values"},
      {"}NNs.", "holds none. Save model.state_dict() with torch.save"},
  };
  for (const auto& [program, reason] : cases)
    EXPECT_EQ(message_of_program(program), rule() + reason + ".");
}

TEST_F(PytorchBinTest, DeepNestingDoesNoHarm) {
  Bytes program(1'000'000, '\x85');
  program.insert(0, "}X\1\0\0\0a)"s);
  program.append("s.");
  EXPECT_EQ(message_of_program(program),
            rule() + "holds none. Save model.state_dict() with torch.save.");
}

TEST_F(PytorchBinTest, MissingStorageIsRefused) {
  auto program = one_tensor(0, {1}, {1});
  program.replace(program.find("X\1\0\0\0000"s), 6, "X\1\0\0\0009"s);
  const auto text = message_of_program(program);
  EXPECT_EQ(text.rfind(rule() + "is truncated or damaged (", 0), 0U) << text;
}

TEST_F(PytorchBinTest, BigEndianArchiveIsRefused) {
  const std::string program = one_tensor(0, {1}, {1}), order = "big";
  const float storage = 1;
  {
    caffe2::serialize::PyTorchStreamWriter archive(path_);
    archive.writeRecord("data.pkl", program.data(), program.size());
    archive.writeRecord("data/0", &storage, sizeof storage);
    archive.writeRecord("byteorder", order.data(), order.size());
    archive.writeEndOfFile();
  }
  EXPECT_EQ(message_of<FormatError>([this] { load_pytorch_bin(path_); }),
            rule() + "was written on a big-endian machine.");
}

TEST_F(PytorchBinTest, TrainingCheckpointGivesItsWeights) {
  for (const auto* file : {"training.bin", "wrapped.bin"}) {
    const auto tensors = load_pytorch_bin((kFolder / file).string());
    ASSERT_EQ(tensors.size(), 1U) << file;
    EXPECT_EQ(tensors[0].first, "weight") << file;
    expect_equal(tensors[0].second, torch::ones(2));
  }
}

TEST_F(PytorchBinTest, OtherValueIsRefused) {
  EXPECT_EQ(message(read(kFolder / "list.bin")),
            rule() + "holds another value. Save model.state_dict() with torch.save.");
}

} // namespace
} // namespace ptbert
