#!/bin/busybox sh
# First and only process of the test guest. Works through /cases/list and reports lines "RIG case KIND text".
/bin/busybox mkdir -p /proc /sys /dev /mnt /tmp
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev 2>/dev/null
exec </dev/null
echo 1 >/proc/sys/kernel/printk # kernel messages would break our lines in half
required=$(sed -n 's/.*rig.require=\([01]\).*/\1/p' /proc/cmdline)
for module in $(cat /modules/order); do
    # The kernel command line does not reach a module that insmod loads.
    arguments=; [ $module != dm-verity.ko ] || arguments=require_signatures=$required
    insmod /modules/$module $arguments || echo "RIG - INSMOD $module"
done
echo "RIG - BEGIN $(uname -r) require_signatures=$(cat /sys/module/dm_verity/parameters/require_signatures)"
while read -r name device blocks start root salt signature options; do
    dmesg -c >/dev/null
    [ "$signature" = - ] || signature=/cases/$signature
    # shellcheck disable=SC2086
    opened=$(verity_open open $name $device $blocks $start $root $salt $signature $options); code=$?
    echo "RIG $name OPEN $code $opened"
    if [ $code = 0 ]; then
        if mount -t erofs -o ro /dev/$opened /mnt 2>/tmp/error; then
            (cd /mnt && find . -type f -exec sha256sum {} + 2>/tmp/error >/tmp/sums)
            echo "RIG $name READ files=$(find /mnt -type f 2>/dev/null | wc -l) read=$(wc -l </tmp/sums) all=$(sort -k2 /tmp/sums | sha256sum | cut -c1-64) tree=$(cd /mnt && find . 2>/dev/null | sort | while read -r p; do stat -c '%n %f %u:%g %N' "$p" 2>/dev/null; done | sha256sum | cut -c1-64)"
            umount /mnt
        else
            echo "RIG $name MOUNT $(tr '\n' ' ' </tmp/error)"
        fi
        dd if=/dev/$opened of=/dev/null bs=64k 2>/dev/null; echo "RIG $name WHOLE $?"
        echo "RIG $name STATUS $(verity_open status $name)"
        verity_open remove $name
    fi
    dmesg | grep -iE 'verity|erofs|pkcs|x509|key' | sed "s/^/RIG $name LOG /"
done </cases/list
echo "RIG - END"
reboot -f
