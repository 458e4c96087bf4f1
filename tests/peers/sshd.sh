# sshd(8) for one connection on its standard streams. As root it wants a folder in /run, which it gets in a mount namespace of its own.
start='exec "$(command -v sshd)" -i -f @FOLDER@/sshd_config'
if [ "$(id -u)" -eq 0 ]; then
    exec unshare --mount sh -c "mount -t tmpfs none /run && mkdir -m 755 /run/sshd && $start"
fi
exec sh -c "$start"
