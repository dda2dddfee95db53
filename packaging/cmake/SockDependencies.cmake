# Everything comes from Debian; packaging/install-deps names the packages.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(prometheus-cpp REQUIRED CONFIG COMPONENTS core)
find_package(GTest REQUIRED)
find_package(OpenSSL REQUIRED)
pkg_check_modules(CAP REQUIRED IMPORTED_TARGET libcap)
pkg_check_modules(NL REQUIRED IMPORTED_TARGET libnl-3.0 libnl-route-3.0)
pkg_check_modules(NFTABLES REQUIRED IMPORTED_TARGET libnftables)
pkg_check_modules(SECCOMP REQUIRED IMPORTED_TARGET libseccomp)
pkg_check_modules(SYSTEMD REQUIRED IMPORTED_TARGET libsystemd)
pkg_check_modules(ARCHIVE REQUIRED IMPORTED_TARGET libarchive)
pkg_check_modules(TOMLPP REQUIRED IMPORTED_TARGET tomlplusplus)
# The system interpreter by name: another build of CPython may come first on PATH.
pkg_check_modules(PYTHON REQUIRED IMPORTED_TARGET python-3.11-embed)

# Boost's compiled parts (Asio, Beast, JSON), built once from their headers.
add_library(sock_boost STATIC ${CMAKE_SOURCE_DIR}/base/boost_impl.cc)
target_link_libraries(sock_boost PUBLIC Boost::headers Threads::Threads)
target_include_directories(sock_boost SYSTEM PUBLIC ${Boost_INCLUDE_DIRS})
target_compile_definitions(sock_boost PUBLIC BOOST_ASIO_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED
                                             BOOST_BEAST_SEPARATE_COMPILATION)
if(SOCK_SANITIZE)
  target_compile_options(sock_boost PRIVATE -fsanitize=${SOCK_SANITIZE})
endif()
