#pragma once
#include <nice/agent.h>
#include <glib.h>
#include <gio/gio.h>
