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

ptbert_ask_python(torch_prefix "import torch; print(torch.utils.cmake_prefix_path)")
list(APPEND CMAKE_PREFIX_PATH ${torch_prefix})
find_package(Torch CONFIG QUIET GLOBAL)  # GLOBAL for programs that add this folder to theirs
if(NOT Torch_FOUND)
  message(FATAL_ERROR "LibTorch is missing: install torch into the Python environment or set CMAKE_PREFIX_PATH.")
endif()
if(Torch_VERSION VERSION_LESS 2.11 OR Torch_VERSION VERSION_GREATER_EQUAL 2.14)
  message(FATAL_ERROR "Torch must be 2.11 to 2.13, but is ${Torch_VERSION} (${TORCH_INSTALL_PREFIX}).")
endif()

ptbert_ask_python(json_include
                  "import nlohmann_json, pathlib; print(pathlib.Path(nlohmann_json.__file__).parent / 'include')")
find_path(NLOHMANN_JSON_INCLUDE_DIR nlohmann/json.hpp HINTS ${json_include})
if(NOT NLOHMANN_JSON_INCLUDE_DIR)
  message(FATAL_ERROR "nlohmann-json is missing: pip install nlohmann-json (Debian: apt-get install nlohmann-json3-dev).")
endif()
