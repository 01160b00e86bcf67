"use strict";

/** The one name that the page gives itself; each file adds what it can do. */
const unetscope = {};
