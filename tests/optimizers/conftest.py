import sys
from pathlib import Path

# the corpus is a module beside the tests
sys.path.insert(0, str(Path(__file__).parent))
