# replaced(VARIABLE WHERE WHAT): WHAT in the place of WHERE, which has to be there, in the variable's text.
function(replaced variable where what)
  string(FIND "${${variable}}" "${where}" at)
  if(at EQUAL -1)
    message(FATAL_ERROR "what a test's plugin is made of no longer holds '${where}'")
  endif()
  string(REPLACE "${where}" "${what}" text "${${variable}}")
  set(${variable} "${text}" PARENT_SCOPE)
endfunction()
