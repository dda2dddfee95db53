# Warnings, hardening and sanitizers, applied through one interface target that every folder links.
include(CheckCXXCompilerFlag)

add_library(sock_flags INTERFACE)
target_include_directories(sock_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(sock_flags INTERFACE -Wall -Wextra -Wconversion -Wshadow -Wnon-virtual-dtor -Werror
                                            -fno-strict-aliasing)
# GCC 12 takes the frame allocator of Asio's coroutines for a mismatch (GCC bug 109224).
target_compile_options(sock_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-mismatched-new-delete>)
target_compile_definitions(sock_flags INTERFACE _GNU_SOURCE SOCK_VERSION="${PROJECT_VERSION}")

if(SOCK_SANITIZE)
  target_compile_options(sock_flags INTERFACE -fsanitize=${SOCK_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(sock_flags INTERFACE -fsanitize=${SOCK_SANITIZE})
  if(SOCK_SANITIZE STREQUAL "thread")
    # GCC warns of every atomic_thread_fence, and Asio has some; they guard nothing we share.
    target_compile_options(sock_flags INTERFACE -Wno-tsan)
  endif()
else()
  target_compile_options(sock_flags INTERFACE -fstack-protector-strong -fcf-protection=full)
  # Fortification needs the optimiser; without it glibc only warns.
  target_compile_options(sock_flags INTERFACE $<$<CONFIG:Release,RelWithDebInfo>:-U_FORTIFY_SOURCE
                                              -D_FORTIFY_SOURCE=3>)
  # A target with the property SOCK_STATIC links with -static-pie instead, which -pie would undo.
  target_link_options(sock_flags INTERFACE $<$<NOT:$<BOOL:$<TARGET_PROPERTY:SOCK_STATIC>>>:-pie>
                                           -Wl,-z,relro,-z,now)
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()
