using System.Buffers.Binary;
using System.Text;
using MergeKit.Core.Diagnostics;
using Microsoft.Win32.SafeHandles;

namespace MergeKit.Core.Checkpoints.PyTorch;

/// <summary>One stored member of a zip archive.</summary>
/// <param name="Name">Its path within the archive.</param>
/// <param name="Offset">Position of its first byte in the file.</param>
/// <param name="Length">Its bytes.</param>
internal readonly record struct ZipMember(string Name, long Offset, long Length);

/// <summary>The members of a zip archive without compression, by their place in the file (PKWARE APPNOTE 6.3, sections 4.3.7 to 4.3.16, zip64
/// included), so that tensors can be read and mapped where they lie. Nothing is believed before it has been checked against the file's length.</summary>
internal static class ZipDirectory
{
    private const uint EndSignature = 0x06054b50, End64Locator = 0x07064b50, End64 = 0x06064b50, CentralSignature = 0x02014b50, LocalSignature = 0x04034b50;
    private const int EndBytes = 22, CentralBytes = 46, LocalBytes = 30, MostComment = 65535;
    private const long MostDirectoryBytes = 64 << 20;

    /// <summary>Whether the file begins like a zip archive.</summary>
    public static bool IsZip(SafeFileHandle handle)
    {
        Span<byte> start = stackalloc byte[4];
        return RandomAccess.Read(handle, start, 0) == 4 && BinaryPrimitives.ReadUInt32LittleEndian(start) == LocalSignature;
    }

    public static Dictionary<string, ZipMember> Read(string path, SafeFileHandle handle)
    {
        var length = RandomAccess.GetLength(handle);
        var (start, size, count) = FindDirectory(path, handle, length);
        var bytes = Take(path, handle, length, start, size, MostDirectoryBytes);
        var members = new Dictionary<string, ZipMember>(StringComparer.Ordinal);
        var at = 0;
        for (var i = 0L; i < count; i++)
        {
            if (at + CentralBytes > bytes.Length || U32(bytes, at) != CentralSignature)
                throw Broken(path, $"its directory ends after {i} of {count} members");
            var (name, member, next) = ReadMember(path, handle, length, bytes, at);
            if (!members.TryAdd(name, member))
                throw Broken(path, $"it has the member '{name}' twice");
            at = next;
        }

        return members;
    }

    /// <summary>The bytes of a range, checked against the file and a limit.</summary>
    public static byte[] Take(string path, SafeFileHandle handle, long fileLength, long start, long size, long most)
    {
        if (start < 0 || size < 0 || start > fileLength || size > fileLength - start)
            throw Broken(path, $"it refers to bytes {start} to {start + size}, but has only {fileLength}");
        if (size > most)
            throw Broken(path, $"a part of {size} bytes that should be small; at most {most} are believed");
        var bytes = new byte[size];
        for (var done = 0; done < bytes.Length;)
        {
            var read = RandomAccess.Read(handle, bytes.AsSpan(done), start + done);
            done += read > 0 ? read : throw Broken(path, "it became shorter while it was read");
        }

        return bytes;
    }

    private static (long Start, long Size, long Count) FindDirectory(string path, SafeFileHandle handle, long length)
    {
        var tail = Take(path, handle, length, Math.Max(0, length - EndBytes - MostComment), Math.Min(length, EndBytes + MostComment), EndBytes + MostComment);
        for (var at = tail.Length - EndBytes; at >= 0; at--)
        {
            if (U32(tail, at) != EndSignature)
                continue;
            var (count, size, start) = ((long)U16(tail, at + 10), (long)U32(tail, at + 12), (long)U32(tail, at + 16));
            if (count != 0xFFFF && size != 0xFFFFFFFF && start != 0xFFFFFFFF)
                return (start, size, count);
            if (at < 20 || U32(tail, at - 20) != End64Locator)
                throw Broken(path, "its zip64 directory is missing");
            var end = Take(path, handle, length, I64(path, tail, at - 12), 56, 56);
            return U32(end, 0) == End64 ? (I64(path, end, 48), I64(path, end, 40), I64(path, end, 32)) : throw Broken(path, "its zip64 directory is not where it should be");
        }

        throw Broken(path, "it has no directory; it is truncated");
    }

    private static (string Name, ZipMember Member, int Next) ReadMember(string path, SafeFileHandle handle, long length, byte[] bytes, int at)
    {
        var (method, flags) = (U16(bytes, at + 10), U16(bytes, at + 8));
        var (nameBytes, extraBytes, commentBytes) = (U16(bytes, at + 28), U16(bytes, at + 30), U16(bytes, at + 32));
        var next = at + CentralBytes + nameBytes + extraBytes + commentBytes;
        if (next > bytes.Length)
            throw Broken(path, "a member's entry reaches past its directory");
        var name = Encoding.UTF8.GetString(bytes, at + CentralBytes, nameBytes);
        var extra = bytes.AsSpan(at + CentralBytes + nameBytes, extraBytes);
        var (packed, size, offset) = Sizes(path, name, bytes, at, extra);
        if (method != 0 || packed != size || (flags & 1) != 0)
            throw Broken(path, $"its member '{name}' is compressed or encrypted, which PyTorch never writes");
        var local = Take(path, handle, length, offset, LocalBytes, LocalBytes);
        if (U32(local, 0) != LocalSignature)
            throw Broken(path, $"its member '{name}' is not where the directory says");
        var data = offset + LocalBytes + U16(local, 26) + U16(local, 28);
        if (data > length || size > length - data)
            throw Broken(path, $"its member '{name}' of {size} bytes reaches past the file's end");
        return (name, new ZipMember(name, data, size), next);
    }

    /// <summary>Packed and plain size and place, from the entry or (where those are all ones) its zip64 field.</summary>
    private static (long Packed, long Size, long Offset) Sizes(string path, string name, byte[] bytes, int at, ReadOnlySpan<byte> extra)
    {
        long[] values = [U32(bytes, at + 24), U32(bytes, at + 20), U32(bytes, at + 42)];
        for (var i = 0; i + 4 <= extra.Length; i += 4 + BinaryPrimitives.ReadUInt16LittleEndian(extra[(i + 2)..]))
        {
            if (BinaryPrimitives.ReadUInt16LittleEndian(extra[i..]) != 1)
                continue;
            var field = extra.Slice(i + 4, Math.Min(BinaryPrimitives.ReadUInt16LittleEndian(extra[(i + 2)..]), extra.Length - i - 4));
            for (var (k, from) = (0, 0); k < values.Length; k++)
                if (values[k] == 0xFFFFFFFF)
                {
                    values[k] = from + 8 <= field.Length && BinaryPrimitives.ReadInt64LittleEndian(field[from..]) is >= 0 and var wide ? wide : throw Broken(path, $"the zip64 field of '{name}' is cut off");
                    from += 8;
                }
        }

        return (values[1], values[0], values[2]);
    }

    private static InputException Broken(string path, string what) => new($"{path}: not a PyTorch file that can be read: {what}");

    private static ushort U16(byte[] bytes, int at) => BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(at));

    private static uint U32(byte[] bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(at));

    private static long I64(string path, byte[] bytes, int at) =>
        BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(at)) is >= 0 and var value ? value : throw Broken(path, "a length in its directory is impossible");
}
