using System.Security.Cryptography;
using System.Text;

namespace Phi3VCluster.Client.Hub;

/// <summary>The hash by which the hub knows a file, taken as the bytes come: SHA-256, or git's blob id.</summary>
internal sealed class ContentHash : IDisposable
{
    private readonly HubFile _file;
    private readonly IncrementalHash _hash;

    public ContentHash(HubFile file)
    {
        _file = file;
        _hash = IncrementalHash.CreateHash(file.Sha256 is null ? HashAlgorithmName.SHA1 : HashAlgorithmName.SHA256);
        Restart();
    }

    public void Append(ReadOnlySpan<byte> bytes) => _hash.AppendData(bytes);

    public void Restart()
    {
        _hash.GetHashAndReset();
        if (_file.Sha256 is null) _hash.AppendData(Encoding.ASCII.GetBytes($"blob {_file.Size}\0"));
    }

    /// <summary>Of everything appended so far.</summary>
    public string Current() => Convert.ToHexStringLower(_hash.GetCurrentHash());

    public void Dispose() => _hash.Dispose();

    /// <summary>Whether a file on disk has the size and the bytes that it should have.</summary>
    public static async Task<bool> FitsAsync(string path, HubFile file, CancellationToken cancelled)
    {
        if (!File.Exists(path) || new FileInfo(path).Length != file.Size) return false;
        await using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0, useAsync: false);
        using var hash = new ContentHash(file);
        await hash.AppendAsync(stream, cancelled);
        return hash.Current() == file.Hash;
    }

    /// <summary>All that is left of the stream.</summary>
    public async Task AppendAsync(Stream stream, CancellationToken cancelled)
    {
        var buffer = new byte[1 << 20];
        while (await stream.ReadAsync(buffer, cancelled) is > 0 and var read) Append(buffer.AsSpan(0, read));
    }
}
