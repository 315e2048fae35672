"""HTTP: routes by noun, the sign-in guard, limits of bodies, problem documents. No rule of the tree lives here."""
