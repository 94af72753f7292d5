#include "ir/Kiln.h"
