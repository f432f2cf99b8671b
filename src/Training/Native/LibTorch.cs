using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using TorchSharp;

namespace Phi3VCluster.Training.Native;

/// <summary>
/// Loads libtorch and TorchSharp's native shim, from wherever they are. Call <see cref="Load"/> before the first use of
/// <see cref="torch"/>: TorchSharp's own loader would copy 460 MB beside the program, and fail where libstdc++ is older than GCC 13's.
/// </summary>
public static class LibTorch
{
    /// <summary>Folder of any libtorch or PyTorch <c>lib</c>; overrides the one that came with the build.</summary>
    public const string FolderVariable = "PHI3V_LIBTORCH";

    /// <summary>
    /// The shim's one symbol of GCC 13: std::ios_base_library_init(), which including iostream mentions and nothing calls.
    /// </summary>
    private const string NeverCalled = "_ZSt21ios_base_library_initv";

    private static readonly Lazy<string> Loaded = new(LoadOnce);

    /// <summary>Loads everything once; later calls return at once. Thread-safe.</summary>
    /// <returns>The folder libtorch was loaded from.</returns>
    /// <exception cref="LibTorchException">Nothing could be loaded; the message says what was missing, where, and what to do.</exception>
    public static string Load() => Loaded.Value;

    /// <summary>Whether the libtorch that <see cref="Load"/> takes has CUDA kernels. Loads nothing.</summary>
    public static bool HasCuda => Candidates().Any(folder => File.Exists(Path.Combine(folder, "libtorch_cuda.so")));

#pragma warning disable CA2255 // A library with a module initializer: the one place that surely runs before any torch call in here.
    [ModuleInitializer]
    internal static void ResolveShimOnFirstUse() =>
        NativeLibrary.SetDllImportResolver(typeof(torch).Assembly, (name, _, _) => name == "LibTorchSharp" ? ShimHandle() : 0);
#pragma warning restore CA2255

    private static nint _shim;

    private static nint ShimHandle()
    {
        Load();
        return _shim;
    }

    private static string LoadOnce()
    {
        if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64)
            throw new LibTorchException($"libtorch is loaded on Linux x64 only; this is {RuntimeInformation.RuntimeIdentifier}.");
        Malloc.KeepFreedMemory();
        // Lengths vary from sample to sample: segments that grow keep the device's memory whole. Read when CUDA is first used.
        NativeEnvironment.SetDefault("PYTORCH_ALLOC_CONF", "expandable_segments:True");
        // cuDNN's attention makes a plan for every length it has not seen, half a second and more each time.
        NativeEnvironment.SetDefault("TORCH_CUDNN_SDPA_DEPRIORITIZED", "1");
        // OpenMP's threads wait for each other in a loop of 300,000 rounds. Where other work has the cores, each round keeps the one that
        // is waited for from running. 1,000 bridge the gap between two operations, and are what it takes where it knows of too few cores.
        NativeEnvironment.SetDefault("GOMP_SPINCOUNT", "1000");
        var folder = FindLibTorch();
        string[] inOrder = ["libtorch_global_deps.so", "libc10.so", "libtorch_cpu.so", "libc10_cuda.so", "libtorch_cuda.so", "libtorch.so"];
        foreach (var path in inOrder.Select(file => Path.Combine(folder, file)).Where(File.Exists))
            DynamicLinker.OpenGlobal(path);
        _shim = LoadShim(FindShim(), folder);
        return folder;
    }

    private static string FindLibTorch()
    {
        string[] candidates = [.. Candidates()];
        return candidates.FirstOrDefault(c => File.Exists(Path.Combine(c, "libtorch_cpu.so")))
            ?? throw new LibTorchException($"libtorch_cpu.so was not found in {string.Join(", ", candidates)}; "
                + $"set {FolderVariable} to the lib folder of a libtorch 2.10 or a PyTorch.");
    }

    private static IEnumerable<string> Candidates()
    {
        if (Environment.GetEnvironmentVariable(FolderVariable) is { } chosen) return [chosen];
        var fromBuild = typeof(LibTorch).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>()
            .FirstOrDefault(a => a.Key == "LibTorchFolder")?.Value;
        string?[] usual = [AppContext.BaseDirectory, Path.Combine(AppContext.BaseDirectory, "runtimes/linux-x64/native"), fromBuild];
        return usual.OfType<string>();
    }

    private static string FindShim()
    {
        string[] candidates = [AppContext.BaseDirectory, Path.Combine(AppContext.BaseDirectory, "runtimes/linux-x64/native")];
        return candidates.Select(c => Path.Combine(c, "libLibTorchSharp.so")).FirstOrDefault(File.Exists)
            ?? throw new LibTorchException($"libLibTorchSharp.so was not found in {string.Join(", ", candidates)}; "
                + "publish or build the program again.");
    }

    private static nint LoadShim(string path, string libTorchFolder)
    {
        var image = File.ReadAllBytes(path);
        // A function that libtorch lacks would end the process on its first call, uncatchably: look before loading.
        var missing = ElfImage.UndefinedSymbols(image).Where(symbol => symbol != NeverCalled && !DynamicLinker.IsDefined(symbol)).ToList();
        if (missing.Count > 0)
            throw new LibTorchException($"libtorch in {libTorchFolder} lacks {missing.Count} functions that TorchSharp 0.107 calls, "
                + $"the first of them {missing[0]}; use libtorch 2.10, or unset {FolderVariable}.");
        if (NativeLibrary.TryLoad(path, out var handle)) return handle;

        var patched = PatchedCopy(image);
        return NativeLibrary.TryLoad(patched, out handle)
            ? handle
            : throw new LibTorchException($"{path} could not be loaded, nor its copy {patched}: {DynamicLinker.ReasonFor(patched)}.");
    }

    /// <summary>
    /// TorchSharp 0.107's shim asks for libstdc++ of GCC 13 (Debian 12 and Ubuntu 22.04 are older) because of one symbol that it never
    /// calls. A copy in which that version need is weak loads everywhere.
    /// </summary>
    private static string PatchedCopy(byte[] image)
    {
        if (!ElfImage.WeakenVersionNeed(image, "GLIBCXX_3.4.32"))
            throw new LibTorchException("libLibTorchSharp.so could not be loaded and does not have the known GLIBCXX_3.4.32 cause; "
                + "see `ldd` on it.");
        var hash = Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(image))[..16];
        var target = Path.Combine(NativeCache.Folder, $"libLibTorchSharp-{hash}.so");
        if (!File.Exists(target)) NativeCache.Keep(target, image);
        return target;
    }
}

/// <summary>libtorch cannot be used on this machine as it is; the message is for the user.</summary>
public sealed class LibTorchException(string message) : Exception(message);
