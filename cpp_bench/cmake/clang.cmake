# The newest clang there is: distributions install it as clang++ or as clang++-<version>.
set(names clang++)
foreach(version RANGE 30 14 -1)
  list(APPEND names clang++-${version})
endforeach()
find_program(CMAKE_CXX_COMPILER NAMES ${names} REQUIRED)
string(REPLACE "clang++" "clang" CMAKE_C_COMPILER "${CMAKE_CXX_COMPILER}")
