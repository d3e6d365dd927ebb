find_package(Threads REQUIRED)
if(PTBERT_TEXT_ONLY)
  return()
endif()

# Torch and nlohmann-json are taken from the Python environment where there is one, so that a virtual environment is all
# that a build needs; CMAKE_PREFIX_PATH finds them elsewhere.
set(components Interpreter)
if(PTBERT_BUILD_PYTHON)
  list(APPEND components Development.Module)
endif()
find_package(Python 3.10 COMPONENTS ${components})
if(PTBERT_BUILD_PYTHON AND NOT Python_Development.Module_FOUND)
  message(FATAL_ERROR "The Python headers are missing: install them (Debian: apt-get install python3-dev).")
endif()

# Runs a line of Python; `output` is empty when it fails.
function(ptbert_ask_python output code)
  set(answer "")
  if(Python_Interpreter_FOUND)
    execute_process(COMMAND ${Python_EXECUTABLE} -c "${code}"
                    OUTPUT_VARIABLE answer OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endif()
  set(${output} "${answer}" PARENT_SCOPE)
endfunction()

# LibTorch's headers and libraries, without its CMake package: where torch was built with CUDA, that one asks for the CUDA
# toolkit, of which nothing is needed here.
ptbert_ask_python(torch_cmake_path "import torch; print(torch.utils.cmake_prefix_path)")
find_path(TORCH_CMAKE_PATH Torch/TorchConfigVersion.cmake
          HINTS ${Torch_ROOT} ${Torch_DIR}/.. ${CMAKE_PREFIX_PATH} ${torch_cmake_path} PATH_SUFFIXES share/cmake)
if(NOT TORCH_CMAKE_PATH)
  message(FATAL_ERROR "LibTorch is missing: install torch into the Python environment or set CMAKE_PREFIX_PATH.")
endif()
cmake_path(GET TORCH_CMAKE_PATH PARENT_PATH torch_folder)
cmake_path(GET torch_folder PARENT_PATH torch_folder)
file(STRINGS ${TORCH_CMAKE_PATH}/Torch/TorchConfigVersion.cmake torch_version REGEX "set\\(PACKAGE_VERSION ")
string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" torch_version "${torch_version}")
if(torch_version VERSION_LESS 2.11 OR torch_version VERSION_GREATER_EQUAL 2.14)
  message(FATAL_ERROR "Torch must be 2.11 to 2.13, but is ${torch_version} (${torch_folder}).")
endif()
add_library(ptbert_libtorch INTERFACE)
target_include_directories(ptbert_libtorch SYSTEM INTERFACE
                           ${torch_folder}/include ${torch_folder}/include/torch/csrc/api/include)
# `torch` refers to the libraries of every device that torch was built for. What those need in turn they find themselves.
target_link_libraries(ptbert_libtorch INTERFACE ${torch_folder}/lib/libtorch_cpu.so ${torch_folder}/lib/libc10.so
                      -Wl,--push-state,--no-as-needed ${torch_folder}/lib/libtorch.so -Wl,--pop-state)
target_link_options(ptbert_libtorch INTERFACE -Wl,--allow-shlib-undefined)

# at::parallel_for() is a plain loop where its header is compiled without OpenMP. Two OpenMP runtimes in a process would have
# threads of their own each and take each other's functions, so ours is torch's where torch brings one: GNU's.
# The name of its file has a hash, which find_library() cannot know.
file(GLOB torch_openmp ${torch_folder}/lib/libgomp*.so*)
if(NOT torch_openmp)
  find_package(OpenMP REQUIRED COMPONENTS CXX)
  target_link_libraries(ptbert_libtorch INTERFACE OpenMP::OpenMP_CXX)
elseif(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(ptbert_libtorch INTERFACE -fopenmp)
  target_link_libraries(ptbert_libtorch INTERFACE ${torch_openmp})
else()
  message(STATUS "Loops of ptbert's own run on one thread: only g++ compiles for the OpenMP that this torch brings.")
endif()

ptbert_ask_python(json_include
                  "import nlohmann_json, pathlib; print(pathlib.Path(nlohmann_json.__file__).parent / 'include')")
find_path(NLOHMANN_JSON_INCLUDE_DIR nlohmann/json.hpp HINTS ${json_include})
if(NOT NLOHMANN_JSON_INCLUDE_DIR)
  message(FATAL_ERROR "nlohmann-json is missing: pip install nlohmann-json (Debian: apt-get install nlohmann-json3-dev).")
endif()
